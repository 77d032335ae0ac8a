#pragma once

// Pictures that a GPU decodes; included by .cc files only.

#include "media/ffmpeg_support.h"
#include "media/picture.h"

namespace driftless {

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
