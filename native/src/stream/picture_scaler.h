#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stream/picture_size.h"

namespace driftless {

// Changes the size of RGB pictures: linear between pixel centres when they grow, and each pixel the
// weighted mean of what it covers when they shrink, so that fine patterns do not shimmer.
class PictureScaler {
 public:
  PictureScaler(const PictureSize& from, const PictureSize& to);

  // in [frames, from.height, from.width, 3] -> out [frames, to.height, to.width, 3]; they must not
  // overlap. No allocation.
  void scale(const uint8_t* in, uint8_t* out, int frames);

 private:
  // What each pixel of one axis is made of: `count` pixels from `first` on, weights in `weights_`.
  struct Axis {
    struct Taps {
      size_t first = 0, count = 0, weights = 0;
    };
    Axis(int from, int to);
    std::vector<Taps> taps;
    std::vector<float> weights;
  };

  PictureSize from_, to_;
  Axis across_, down_;
  std::vector<float> row_;
};

}  // namespace driftless
