#pragma once

#include "media/device_planes.h"
#include "media/picture.h"
#include "ops/video_ops.h"

namespace driftless {

/// What the stream says of its colours.
YuvColours colours_of(const AVFrame& frame);

/// Brings decoded pictures into a GPU's memory where they are not there already. Not thread-safe.
class DeviceCamera {
 public:
  /// The picture as it was decoded by the same GPU, for as long as the frame lives, or a copy of
  /// one in the host's memory, until the next call. Throws driftless::Error for anything but 4:2:0
  /// of 8 bits.
  YuvPicture reach(const AVFrame& frame, VideoOps& video);

 private:
  DevicePlanes copied_;
};

}  // namespace driftless
