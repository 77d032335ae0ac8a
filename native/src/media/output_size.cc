#include "media/output_size.h"

#include <algorithm>
#include <cmath>

namespace driftless {
namespace {

// What H.264's and VP8's encoders and the operations on pictures take in any case.
constexpr int kShortestSide = 16;
// Sizes are whole pixels, so that 426x240 is 16:9 too.
constexpr double kSameShape = 0.02;

double longer_side(const PictureSize& size) { return std::max(size.width, size.height); }

bool same_shape(const PictureSize& a, const PictureSize& b) {
  const double across = static_cast<double>(a.width) * b.height;
  const double down = static_cast<double>(a.height) * b.width;
  return std::abs(across - down) <= kSameShape * std::min(across, down);
}

}  // namespace

PictureSize output_size(const ModelInfo& model, const PictureSize& camera) {
  const double painted = longer_side(model.size_for(camera));
  const double most = std::max(painted, OutputSize::kMostEnlarged * longer_side(model.size()));
  const double scale = std::clamp(longer_side(camera), painted, most) / longer_side(camera);
  const auto even = [&](int side) {
    return std::max(kShortestSide, static_cast<int>(side * scale / 2 + 0.5) * 2);
  };
  return {even(camera.width), even(camera.height)};
}

const PictureSize& OutputSize::of(const PictureSize& camera) {
  if (camera == camera_) return size_;
  camera_ = camera;
  const PictureSize own = output_size(model_, camera);
  const bool smaller = longer_side(own) <= longer_side(size_);
  if (!(smaller && same_shape(own, size_))) size_ = own;
  return size_;
}

}  // namespace driftless
