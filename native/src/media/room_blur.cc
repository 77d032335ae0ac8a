#include "media/room_blur.h"

#include <algorithm>

namespace driftless {

const uint8_t* RoomBlur::update(const uint8_t* rgb, const MatteRefiner& matte) {
  constexpr size_t kPixels = static_cast<size_t>(kWidth) * kHeight;
  // Three boxes of this radius are nearly a Gaussian of 3.5 pixels: a twentieth of the picture.
  constexpr int kRadius = 3;
  const int width = matte.width(), height = matte.height();
  for (auto& map : maps_) map.assign(kPixels, 0.0f);
  for (int y = 0; y < height; ++y) {
    const int row = y * kHeight / height;
    for (int x = 0; x < width; ++x) {
      const size_t at = static_cast<size_t>(row) * kWidth + x * kWidth / width;
      const size_t from = static_cast<size_t>(y) * width + x;
      const float room = matte.mask()[from] < 0.02f ? 1.0f : 0.0f;
      for (int c = 0; c < 3; ++c) maps_[c][at] += room * static_cast<float>(rgb[3 * from + c]);
      maps_[3][at] += room;
    }
  }
  // A place where the person touches counts little: her rim is not in the mask.
  const float full = static_cast<float>(width * height) / kPixels;
  for (size_t i = 0; i < kPixels; ++i) {
    const float keep = maps_[3][i] >= 0.95f * full ? 1.0f : 0.0f;
    for (auto& map : maps_) map[i] = map[i] * keep + (&map == &maps_[3] ? 1e-3f : 0.128f);
  }
  for (auto& map : maps_) {
    for (int turn = 0; turn < 3; ++turn) {
      box_mean(map.data(), map.data(), kWidth, kHeight, kRadius, memory_);
    }
  }
  out_.resize(kPixels * 3);
  steady_.resize(kPixels * 3);
  const float weight = started_ ? 0.25f : 1.0f;
  started_ = true;
  for (size_t i = 0; i < kPixels; ++i) {
    for (int c = 0; c < 3; ++c) {
      float& value = steady_[3 * i + c];
      value += weight * (maps_[c][i] / maps_[3][i] - value);
      out_[3 * i + c] = static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
    }
  }
  return out_.data();
}

}  // namespace driftless
