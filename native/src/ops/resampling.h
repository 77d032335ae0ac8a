#pragma once

#include <cstdint>
#include <vector>

namespace driftless {

/// One axis of a picture at another size: what each new pixel is made of. Pixel centres lie at
/// (i + 0.5) * from / to - 0.5; what a filter has beyond the border is left out.
struct Resampling {
  /// `count` pixels from `first` on, by `weights` of the list of all, which add up to 1.
  struct Taps {
    int32_t first, count, weights;
  };
  int from = 0, to = 0;  ///< Pixels, at least 1.
  std::vector<Taps> taps;
  std::vector<float> weights;

  /// As wide as a pixel of the coarser grid: linear between centres where pictures grow, and the
  /// weighted mean of what a pixel covers where they shrink, so that fine patterns do not shimmer.
  static Resampling triangle(int from, int to);
  /// The mean of exactly what a pixel covers.
  static Resampling area(int from, int to);
  /// Keys' cubic with a = -0.6, as swscale's bicubic, for pictures that grow.
  static Resampling cubic(int from, int to);
};

}  // namespace driftless
