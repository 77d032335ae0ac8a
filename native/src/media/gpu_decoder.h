#pragma once

// NVDEC for FFmpeg's decoders; included by .cc files only.

#include "media/ffmpeg_support.h"

namespace driftless {

struct AvBufferDeleter {
  void operator()(AVBufferRef* buffer) const { av_buffer_unref(&buffer); }
};
using AvBufferPtr = std::unique_ptr<AVBufferRef, AvBufferDeleter>;

/// The decoder of a GPU for AVCodecContext::hw_device_ctx, in the context that CUDA's runtime uses,
/// with a stream of its own. Throws driftless::Error where there is none.
AvBufferPtr gpu_decoder(int gpu);

}  // namespace driftless
