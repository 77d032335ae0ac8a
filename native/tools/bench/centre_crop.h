#pragma once

#include <algorithm>
#include <cstdint>

namespace driftless {

struct Crop {
  int x = 0, y = 0, width = 0, height = 0;
};

/// The largest centred part of a picture that has the target's shape. Offsets are multiples of the
/// chroma sampling, otherwise colours would shift against the brightness.
inline Crop centre_crop(int width, int height, int target_width, int target_height, int step_x,
                        int step_y) {
  Crop crop{0, 0, width, height};
  if (static_cast<int64_t>(width) * target_height > static_cast<int64_t>(height) * target_width) {
    crop.width = std::max<int>(
        1, static_cast<int>(static_cast<int64_t>(height) * target_width / target_height));
    crop.x = (width - crop.width) / 2 / step_x * step_x;
  } else {
    crop.height = std::max<int>(
        1, static_cast<int>(static_cast<int64_t>(width) * target_height / target_width));
    crop.y = (height - crop.height) / 2 / step_y * step_y;
  }
  return crop;
}

}  // namespace driftless
