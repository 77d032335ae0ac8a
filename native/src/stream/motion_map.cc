#include "stream/motion_map.h"

#include <algorithm>
#include <cstdlib>

namespace driftless {

MotionMap::MotionMap(int width, int height)
    : width_(width),
      height_(height),
      columns_((width + kBlock - 1) / kBlock),
      rows_((height + kBlock - 1) / kBlock),
      difference_(static_cast<size_t>(width) * static_cast<size_t>(height)),
      column_sums_(static_cast<size_t>(width) + 2) {}

void MotionMap::measure(const uint8_t* before, const uint8_t* frames, size_t count,
                        uint8_t* motion) {
  const size_t pixels = difference_.size(), bytes = 3 * pixels;
  const size_t width = static_cast<size_t>(width_);
  for (size_t f = 0; f < count; ++f, motion += blocks()) {
    const uint8_t* now = frames + f * bytes;
    const uint8_t* last = f == 0 ? before : now - bytes;
    if (last == nullptr) {
      std::fill_n(motion, blocks(), uint8_t{255});
      continue;
    }
    std::fill_n(motion, blocks(), uint8_t{0});
    // Brightness of the difference, in quarters: (r + 2 g + b) / 4.
    for (size_t i = 0; i < pixels; ++i) {
      difference_[i] = now[3 * i] - last[3 * i] + 2 * (now[3 * i + 1] - last[3 * i + 1]) +
                       now[3 * i + 2] - last[3 * i + 2];
    }
    for (int y = 0; y < height_; ++y) {
      const size_t above = static_cast<size_t>(std::max(y - 1, 0)) * width;
      const size_t here = static_cast<size_t>(y) * width;
      const size_t below = static_cast<size_t>(std::min(y + 1, height_ - 1)) * width;
      int* const sums = column_sums_.data() + 1;
      for (size_t x = 0; x < width; ++x) {
        sums[x] = difference_[above + x] + difference_[here + x] + difference_[below + x];
      }
      sums[-1] = sums[0];
      sums[width] = sums[width - 1];
      uint8_t* const row = motion + static_cast<size_t>(y / kBlock) * static_cast<size_t>(columns_);
      for (int column = 0; column < columns_; ++column) {
        const int end = std::min(width_, (column + 1) * kBlock);
        int most = 0;
        for (int x = column * kBlock; x < end; ++x) {
          most = std::max(most, std::abs(sums[x - 1] + sums[x] + sums[x + 1]));
        }
        row[column] = static_cast<uint8_t>(std::max<int>(row[column], most / (9 * 4)));
      }
    }
  }
}

}  // namespace driftless
