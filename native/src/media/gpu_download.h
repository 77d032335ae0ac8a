#pragma once

// Pictures that a GPU decodes; included by .cc files only.

#include "media/ffmpeg_support.h"
#include "media/picture.h"

namespace driftless {

struct AvBufferDeleter {
  void operator()(AVBufferRef* buffer) const { av_buffer_unref(&buffer); }
};
using AvBufferPtr = std::unique_ptr<AVBufferRef, AvBufferDeleter>;

/// The decoder of a GPU for AVCodecContext::hw_device_ctx, in the context that CUDA's runtime uses
/// too. Throws driftless::Error with FFmpeg's words where there is none.
AvBufferPtr gpu_decoder(int gpu);

/// Brings decoded pictures from a GPU's memory into the host's. Not thread-safe.
class GpuDownload {
 public:
  /// frame: AV_PIX_FMT_CUDA with NV12 in it. Returns the same as 4:2:0 planes, with its colour
  /// properties. Throws driftless::Error when the driver does.
  AvFramePtr run(const AVFrame& frame);

 private:
  AvFramePtr staging_;  // NV12, as it comes
};

}  // namespace driftless
