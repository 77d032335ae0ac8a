#pragma once

#include "core/tensor.h"

namespace driftless {

struct PictureSize {
  int width = 0, height = 0;  // pixels

  Shape rgb(int frames) const { return Shape{frames, height, width, 3}; }
  double area() const { return static_cast<double>(width) * height; }
  bool known() const { return width > 0 && height > 0; }
};

inline bool operator==(const PictureSize& a, const PictureSize& b) {
  return a.width == b.width && a.height == b.height;
}
inline bool operator!=(const PictureSize& a, const PictureSize& b) { return !(a == b); }

}  // namespace driftless
