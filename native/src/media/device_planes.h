#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "media/device_pool.h"
#include "ops/video_ops.h"

namespace driftless {

/// Memory on a GPU for one picture of 4:2:0 in three planes, taken anew when its layout changes.
class DevicePlanes {
 public:
  /// Pitches in bytes. The planes follow each other without gaps; what was in them is undefined.
  YuvPicture make(const MemorySource& source, int width, int height, int luma_pitch,
                  int chroma_pitch) {
    const size_t luma = static_cast<size_t>(luma_pitch) * static_cast<size_t>(height);
    const size_t chroma = static_cast<size_t>(chroma_pitch) * static_cast<size_t>((height + 1) / 2);
    if (bytes_ != luma + 2 * chroma) {
      bytes_ = luma + 2 * chroma;
      memory_ = DevicePool::make(source, bytes_)->take();
    }
    uint8_t* at = memory_.get();
    return {at, at + luma, at + luma + chroma, luma_pitch, chroma_pitch, 1, width, height};
  }

  /// A picture from the host's memory, with its pitches.
  YuvPicture upload(const uint8_t* const* planes, const int* pitches, int width, int height,
                    VideoOps& video) {
    const YuvPicture there = make(video.memory(), width, height, pitches[0], pitches[1]);
    const auto chroma = static_cast<size_t>(there.red - there.blue);
    video.to_device(planes[0], there.luma, static_cast<size_t>(there.blue - there.luma));
    video.to_device(planes[1], there.blue, chroma);
    video.to_device(planes[2], there.red, chroma);
    return there;
  }

 private:
  std::shared_ptr<uint8_t> memory_;
  size_t bytes_ = 0;
};

}  // namespace driftless
