#include "stream/picture_size.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace driftless {

std::optional<PictureSize> smaller_picture(const ModelConfig& config, const PictureSize& full) {
  const double token = static_cast<double>(codec_spatial_scale(config.autoencoder)) *
                       static_cast<double>(config.dit.patch);
  const auto side = [&](int pixels) {
    return static_cast<int>(std::lround(0.75 * pixels / token) * std::lround(token));
  };
  const PictureSize smaller{side(full.width), side(full.height)};
  if (smaller == full || !smaller.known()) return {};
  return smaller;
}

PictureSize nearest_size(const std::vector<PictureSize>& sizes, const PictureSize& picture) {
  DL_CHECK(!sizes.empty(), "sizes to paint at", "at least one", "none");
  if (!picture.known()) return sizes.front();
  // How much longer one side is drawn than the other, either way.
  const auto stretch = [&](const PictureSize& size) {
    const double across = static_cast<double>(picture.width) * size.height;
    const double down = static_cast<double>(picture.height) * size.width;
    return std::max(across, down) / std::min(across, down);
  };
  return *std::min_element(sizes.begin(), sizes.end(),
                           [&](const auto& a, const auto& b) { return stretch(a) < stretch(b); });
}

}  // namespace driftless
