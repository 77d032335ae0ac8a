#include "ops/resampling.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace driftless {

namespace {

/// weight(pixel, centre): of an old pixel in a new one whose centre lies there, in old pixels; 0
/// from `radius` on.
template <typename Weight>
Resampling make(int from, int to, double radius, const Weight& weight) {
  DL_CHECK(from >= 1 && to >= 1, "size to resample", "at least one pixel", std::min(from, to));
  Resampling axis;
  axis.from = from;
  axis.to = to;
  const double scale = static_cast<double>(from) / to;
  for (int i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale - 0.5;
    const int first = std::max(0, static_cast<int>(std::ceil(centre - radius)));
    const int last = std::min(from - 1, static_cast<int>(std::floor(centre + radius)));
    const auto begin = static_cast<int32_t>(axis.weights.size());
    double sum = 0;
    for (int j = first; j <= last; ++j) {
      axis.weights.push_back(static_cast<float>(weight(j - centre)));
      sum += static_cast<double>(axis.weights.back());
    }
    for (size_t j = static_cast<size_t>(begin); j < axis.weights.size(); ++j) {
      axis.weights[j] /= static_cast<float>(sum);
    }
    axis.taps.push_back({first, last - first + 1, begin});
  }
  return axis;
}

}  // namespace

Resampling Resampling::triangle(int from, int to) {
  const double radius = std::max(1.0, static_cast<double>(from) / std::max(1, to));
  return make(from, to, radius, [=](double away) { return 1 - std::abs(away) / radius; });
}

Resampling Resampling::area(int from, int to) {
  const double half = std::max(1.0, static_cast<double>(from) / std::max(1, to)) / 2;
  return make(from, to, half + 0.5,
              [=](double away) { return std::clamp(half + 0.5 - std::abs(away), 0.0, 1.0); });
}

Resampling Resampling::cubic(int from, int to) {
  constexpr double a = -0.6;
  return make(from, to, 2, [](double away) {
    const double x = std::abs(away);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return a * (((x - 5) * x + 8) * x - 4);
  });
}

}  // namespace driftless
