#pragma once

#include "stream/pipeline.h"

namespace driftless {

/// The size of the pictures that viewers get of a camera: its own, shape and all, with a longer
/// side of at most kMostEnlarged times the model's; and no smaller than the pictures are painted
/// at, in the longer side. Even.
PictureSize output_size(const ModelInfo& model, const PictureSize& camera);

/// The same from picture to picture of one camera. One that sends smaller pictures of the same
/// shape for a while, as browsers do where the network is slow, does not change what viewers get.
class OutputSize {
 public:
  /// Most that the model's longer side is multiplied by: 640x360 of 256x144, and 360x640 where the
  /// camera stands upright.
  static constexpr double kMostEnlarged = 2.5;

  explicit OutputSize(const ModelInfo& model) : model_(model) {}

  const PictureSize& of(const PictureSize& camera);

 private:
  const ModelInfo model_;
  PictureSize camera_, size_;
};

}  // namespace driftless
