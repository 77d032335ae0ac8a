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
constexpr int64_t kStride = 5;

DriftGuardConfig picture_config(double chunk_s) {
  DriftGuardConfig config;
  config.channels = static_cast<int>(kChannels);
  config.chunk_s = chunk_s;
  config.bound = kBound;
  return config;
}

}  // namespace

PictureGuard::PictureGuard(Ops& ops, double chunk_s)
    : ops_(ops), guard_(picture_config(chunk_s)), pictures_(2 * kChannels) {}

void PictureGuard::look(const Tensor& pictures, ChannelFeatures& features) const {
  uint64_t sums[2 * kChannels];
  ops_.picture_sums(pictures, kStride, sums);
  features.resize(2 * kChannels);
  const auto count = static_cast<double>((pictures.count() / 3 + kStride - 1) / kStride);
  for (size_t c = 0; c < kChannels; ++c) {
    const double mean = static_cast<double>(sums[c]) / count / kUnit;
    const double square = static_cast<double>(sums[kChannels + c]) / count / (kUnit * kUnit);
    features[c] = mean;
    features[kChannels + c] =
        std::log(std::sqrt(std::max(0.0, square - mean * mean)) + kTinySpread);
  }
}

bool PictureGuard::apply(const ChannelFeatures& camera, const Tensor& pictures) {
  look(pictures, pictures_);
  if (!guard_.follow(camera, pictures_)) return false;
  for (size_t c = 0; c < kChannels; ++c) {
    const DriftGuard::Map map = guard_.map(c);
    for (size_t value = 0; value < 256; ++value) {
      const double corrected = map.scale * static_cast<double>(value) + map.shift * kUnit;
      tables_[256 * c + value] = static_cast<uint8_t>(std::clamp(corrected + 0.5, 0.0, 255.0));
    }
  }
  ops_.map_bytes(tables_.data(), pictures);
  return true;
}

}  // namespace driftless
