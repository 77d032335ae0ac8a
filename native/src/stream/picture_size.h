#pragma once

// The sizes at which a model's sessions are painted.

#include <cmath>
#include <optional>

#include "core/tensor.h"
#include "models/model_config.h"

namespace driftless {

struct PictureSize {
  int width = 0, height = 0;  // pixels

  Shape rgb(int frames) const { return Shape{frames, height, width, 3}; }
  double area() const { return static_cast<double>(width) * height; }
};

inline bool operator==(const PictureSize& a, const PictureSize& b) {
  return a.width == b.width && a.height == b.height;
}

inline PictureSize full_picture(const ModelConfig& config) { return {config.width, config.height}; }

// Three quarters of each side, to whole tokens: about 0.56 of the work. None where a picture is of
// so few tokens that this is the full size.
inline std::optional<PictureSize> smaller_picture(const ModelConfig& config) {
  const double token = static_cast<double>(codec_spatial_scale(config.autoencoder)) *
                       static_cast<double>(config.dit.patch);
  const auto side = [&](int pixels) {
    return static_cast<int>(std::lround(0.75 * pixels / token) * std::lround(token));
  };
  const PictureSize smaller{side(config.width), side(config.height)};
  if (smaller == full_picture(config) || smaller.width == 0 || smaller.height == 0) return {};
  return smaller;
}

}  // namespace driftless
