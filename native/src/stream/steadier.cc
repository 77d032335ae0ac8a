#include "stream/steadier.h"

#include <algorithm>
#include <cmath>

namespace driftless {

namespace {

// Motion up to here is a sensor's noise; from there on something moves.
constexpr float kStill = 4, kMoving = 12;

struct Between {
  int first;
  float share;  // of the next one
};

// Between which blocks' centres a pixel lies.
Between between(int pixel, int blocks) {
  const float at =
      (static_cast<float>(pixel) + 0.5f) / static_cast<float>(MotionMap::kBlock) - 0.5f;
  const float clamped = std::clamp(at, 0.0f, static_cast<float>(blocks - 1));
  const int first = std::min(static_cast<int>(clamped), std::max(0, blocks - 2));
  return {first, blocks > 1 ? clamped - static_cast<float>(first) : 0.0f};
}

}  // namespace

Steadier::Steadier(Arena& arena, int width, int height, double hold)
    : width_(width),
      height_(height),
      columns_(MotionMap(width, height).columns()),
      rows_(MotionMap(width, height).rows()),
      least_(static_cast<float>(1 - hold)),
      shown_(static_cast<uint16_t*>(arena.allocate(bytes(width, height)))),
      weights_(static_cast<size_t>(columns_) * static_cast<size_t>(rows_)),
      row_(3 * static_cast<size_t>(width)) {
  for (int x = 0; x < width; ++x) {
    const Between place = between(x, columns_);
    left_.push_back(place.first);
    right_share_.push_back(place.share);
  }
}

size_t Steadier::bytes(int width, int height) {
  return Arena::rounded(3 * static_cast<size_t>(width) * static_cast<size_t>(height) *
                        sizeof(uint16_t));
}

// A block is as free as the one of its neighbours in which most moves.
void Steadier::weigh(const uint8_t* motion) {
  for (int y = 0; y < rows_; ++y) {
    for (int x = 0; x < columns_; ++x) {
      uint8_t most = 0;
      for (int v = std::max(0, y - 1); v <= std::min(rows_ - 1, y + 1); ++v) {
        for (int u = std::max(0, x - 1); u <= std::min(columns_ - 1, x + 1); ++u) {
          most = std::max(most, motion[v * columns_ + u]);
        }
      }
      const float moving = std::clamp((most - kStill) / (kMoving - kStill), 0.0f, 1.0f);
      weights_[static_cast<size_t>(y * columns_ + x)] = least_ + (1 - least_) * moving;
    }
  }
}

void Steadier::apply(uint8_t* frames, size_t count, const uint8_t* motion, bool another_look) {
  const size_t values = 3 * static_cast<size_t>(width_) * static_cast<size_t>(height_);
  const size_t row_values = 3 * static_cast<size_t>(width_);
  for (size_t f = 0; f < count; ++f, frames += values, motion += weights_.size()) {
    if (another_look || !begun_) {
      for (size_t i = 0; i < values; ++i) shown_[i] = static_cast<uint16_t>(frames[i] << 8);
      begun_ = true;
      continue;
    }
    weigh(motion);
    for (int y = 0; y < height_; ++y) {
      const Between place = between(y, rows_);
      const float* upper = weights_.data() + place.first * columns_;
      const float* lower = rows_ > 1 ? upper + columns_ : upper;
      for (int x = 0; x < width_; ++x) {
        const int l = left_[static_cast<size_t>(x)], r = columns_ > 1 ? l + 1 : l;
        const float right = right_share_[static_cast<size_t>(x)];
        const float left_weight = upper[l] + place.share * (lower[l] - upper[l]);
        const float right_weight = upper[r] + place.share * (lower[r] - upper[r]);
        const float weight = left_weight + right * (right_weight - left_weight);
        std::fill_n(row_.begin() + 3 * x, 3, static_cast<int>(weight * 256 + 0.5f));
      }
      uint8_t* out = frames + static_cast<size_t>(y) * row_values;
      uint16_t* shown = shown_ + static_cast<size_t>(y) * row_values;
      for (size_t i = 0; i < row_values; ++i) {
        const int step = (out[i] << 8) - shown[i];
        const int value = shown[i] + step * row_[i] / 256;
        shown[i] = static_cast<uint16_t>(value);
        out[i] = static_cast<uint8_t>(std::min(255, (value + 128) >> 8));
      }
    }
  }
}

}  // namespace driftless
