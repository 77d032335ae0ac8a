#pragma once

// Where the camera moves, in blocks: what moves at all, not how fast or where to.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace driftless {

class MotionMap {
 public:
  static constexpr int kBlock = 16;  // pixels of a side; the last ones may be smaller

  MotionMap(int width, int height);

  int columns() const { return columns_; }
  int rows() const { return rows_; }
  // Of one frame's map.
  size_t blocks() const { return static_cast<size_t>(columns_) * static_cast<size_t>(rows_); }

  // Compares each of `count` frames [., height, width, 3] with the one before it, `before` with the
  // first, and writes count x blocks() bytes: the largest difference of softened brightness within
  // the block, of 255. Softening leaves little of a sensor's noise and most of an edge. Without
  // `before` (the start of a stream) everything moves.
  void measure(const uint8_t* before, const uint8_t* frames, size_t count, uint8_t* motion);

 private:
  int width_, height_, columns_, rows_;
  std::vector<int> difference_, column_sums_;
};

}  // namespace driftless
