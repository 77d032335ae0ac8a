#pragma once

// The sizes at which a model's sessions are painted.

#include <optional>
#include <vector>

#include "models/model_config.h"
#include "models/picture_size.h"

namespace driftless {

inline PictureSize full_picture(const ModelConfig& config) { return {config.width, config.height}; }

// Three quarters of each side, to whole tokens: about 0.56 of the work. None where a picture is of
// so few tokens that this is the full size.
std::optional<PictureSize> smaller_picture(const ModelConfig& config, const PictureSize& full);
inline std::optional<PictureSize> smaller_picture(const ModelConfig& config) {
  return smaller_picture(config, full_picture(config));
}

// The size whose shape is nearest to a picture's, by the ratio of the two aspects; the first of
// equally near ones. A picture is scaled to it as a whole. sizes: at least one.
PictureSize nearest_size(const std::vector<PictureSize>& sizes, const PictureSize& picture);

}  // namespace driftless
