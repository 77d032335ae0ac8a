#include "stream/picture_scaler.h"

#include <algorithm>
#include <cmath>

namespace driftless {

// Triangle filter, as wide as a pixel of the coarser of both grids; cut at the border.
PictureScaler::Axis::Axis(int from, int to) {
  const double scale = static_cast<double>(from) / to, radius = std::max(1.0, scale);
  for (int i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale - 0.5;
    const int first = std::max(0, static_cast<int>(std::ceil(centre - radius)));
    const int last = std::min(from - 1, static_cast<int>(std::floor(centre + radius)));
    Taps tap{static_cast<size_t>(first), static_cast<size_t>(last - first + 1), weights.size()};
    double sum = 0;
    for (int j = first; j <= last; ++j) {
      weights.push_back(static_cast<float>(1 - std::abs(j - centre) / radius));
      sum += static_cast<double>(weights.back());
    }
    for (size_t j = tap.weights; j < weights.size(); ++j) weights[j] /= static_cast<float>(sum);
    taps.push_back(tap);
  }
}

PictureScaler::PictureScaler(const PictureSize& from, const PictureSize& to)
    : from_(from),
      to_(to),
      across_(from.width, to.width),
      down_(from.height, to.height),
      row_(3 * static_cast<size_t>(from.width)) {}

void PictureScaler::scale(const uint8_t* in, uint8_t* out, int frames) {
  const size_t in_row = row_.size(), in_frame = in_row * static_cast<size_t>(from_.height);
  for (int f = 0; f < frames; ++f, in += in_frame) {
    for (const Axis::Taps& y : down_.taps) {
      std::fill(row_.begin(), row_.end(), 0.0f);
      for (size_t j = 0; j < y.count; ++j) {
        const float weight = down_.weights[y.weights + j];
        const uint8_t* from = in + (y.first + j) * in_row;
        for (size_t i = 0; i < in_row; ++i) row_[i] += weight * static_cast<float>(from[i]);
      }
      for (const Axis::Taps& x : across_.taps) {
        const float* weights = across_.weights.data() + x.weights;
        const float* from = row_.data() + 3 * x.first;
        float sum[3] = {0.5f, 0.5f, 0.5f};
        for (size_t j = 0; j < x.count; ++j, from += 3) {
          for (size_t c = 0; c < 3; ++c) sum[c] += weights[j] * from[c];
        }
        for (const float value : sum) *out++ = static_cast<uint8_t>(std::min(value, 255.0f));
      }
    }
  }
}

}  // namespace driftless
