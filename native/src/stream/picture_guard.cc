#include "stream/picture_guard.h"

#include <algorithm>
#include <cmath>

namespace driftless {

namespace {

constexpr size_t kChannels = 3;
// In units of this many pixel values pictures have a spread of about 1, as latents do.
constexpr double kUnit = 64;
// Wandering that is left alone: 6.4 pixel values of mean, a tenth of contrast.
constexpr double kBound = 0.1;
// Every such pixel is measured: neighbours say the same.
constexpr size_t kStride = 5;

DriftGuardConfig picture_config(double chunk_s) {
  DriftGuardConfig config;
  config.channels = static_cast<int>(kChannels);
  config.chunk_s = chunk_s;
  config.bound = kBound;
  return config;
}

}  // namespace

PictureGuard::PictureGuard(double chunk_s)
    : guard_(picture_config(chunk_s)), camera_(2 * kChannels), pictures_(2 * kChannels) {}

bool PictureGuard::apply(const uint8_t* camera, uint8_t* pictures, size_t pixels) {
  measure_channels(camera, pixels, kStride, 1 / kUnit, 0, camera_);
  measure_channels(pictures, pixels, kStride, 1 / kUnit, 0, pictures_);
  if (!guard_.follow(camera_, pictures_)) return false;
  for (size_t c = 0; c < kChannels; ++c) {
    const DriftGuard::Map map = guard_.map(c);
    for (size_t value = 0; value < 256; ++value) {
      const double corrected = map.scale * static_cast<double>(value) + map.shift * kUnit;
      table_[c][value] = static_cast<uint8_t>(std::clamp(corrected + 0.5, 0.0, 255.0));
    }
  }
  for (size_t p = 0; p < pixels; ++p, pictures += kChannels) {
    for (size_t c = 0; c < kChannels; ++c) pictures[c] = table_[c][pictures[c]];
  }
  return true;
}

}  // namespace driftless
