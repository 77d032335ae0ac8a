#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "ops/mobile_ops.h"
#include "ops/ops.h"

namespace driftless {

/// A person segmentation network read from a .tflite file (MediaPipe's selfie segmentation):
/// weights and the order of steps. Immutable once loaded, so that many segmenters share it.
class SegmentationModel {
 public:
  /// backend: "cpu" or "reference". Throws Error for a file that read_tflite refuses or whose graph
  /// is not a picture [1, h, w, 3] to one value a pixel.
  static std::shared_ptr<const SegmentationModel> load(const std::string& path,
                                                       const std::string& backend);
  ~SegmentationModel();

  int width() const { return width_; }  ///< Pixels of the picture it takes and the mask it makes.
  int height() const { return height_; }

 private:
  friend class Segmenter;
  struct Step;
  SegmentationModel() = default;

  std::string backend_;
  int width_ = 0, height_ = 0;
  Arena weights_;
  std::vector<Step> steps_;
  std::vector<int64_t> buffer_floats_;  // activations share buffers as soon as they are used up
};

/// Runs the network; owns the memory in between. Serves one thread at a time.
class Segmenter {
 public:
  explicit Segmenter(std::shared_ptr<const SegmentationModel> model);
  ~Segmenter();

  int width() const { return model_->width(); }
  int height() const { return model_->height(); }

  /// rgb: height x width x 3 bytes, the whole camera picture squeezed to this size. Returns
  /// height x width probabilities that a pixel shows a person; valid until the next call.
  const float* run(const uint8_t* rgb);

 private:
  std::shared_ptr<const SegmentationModel> model_;
  std::unique_ptr<Ops> ops_;
  std::unique_ptr<MobileOps> mobile_;
  Arena arena_;
  std::vector<float*> buffers_;
};

}  // namespace driftless
