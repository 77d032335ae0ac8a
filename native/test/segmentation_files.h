#pragma once

#include <string>

namespace driftless {

/// The segmentation network of the npm package, "landscape" or "general".
inline std::string segmentation_file(const std::string& name) {
  return std::string(DRIFTLESS_SOURCE_DIR) +
         "/node_modules/@mediapipe/selfie_segmentation/selfie_segmentation" +
         (name == "landscape" ? "_landscape" : "") + ".tflite";
}

}  // namespace driftless
