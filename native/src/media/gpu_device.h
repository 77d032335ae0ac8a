#pragma once

// A GPU for FFmpeg's decoders and encoders; included by .cc files only.

#include "media/ffmpeg_support.h"

namespace driftless {

struct AvBufferDeleter {
  void operator()(AVBufferRef* buffer) const { av_buffer_unref(&buffer); }
};
using AvBufferPtr = std::unique_ptr<AVBufferRef, AvBufferDeleter>;

/// A GPU for AVCodecContext::hw_device_ctx, in the context that CUDA's runtime uses, with a stream
/// of its own. Throws driftless::Error where there is none.
AvBufferPtr gpu_device(int gpu);

/// Frames of NV12 in such a GPU's memory, for AVCodecContext::hw_frames_ctx. Throws
/// driftless::Error.
AvBufferPtr gpu_frames(int gpu, int width, int height);

/// Returns when a picture that a decoder with such a GPU gave is there for others. Throws
/// driftless::Error when the driver does.
void await_gpu(const AVFrame& frame);

}  // namespace driftless
