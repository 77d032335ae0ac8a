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
  /// backend: as for make_ops(). Throws Error for a file that read_tflite refuses or whose graph
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
  Arena weights_;                 // as read
  std::unique_ptr<Arena> moved_;  // those that kernels read on a GPU
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

  /// Whether run() takes pictures in a GPU's memory.
  bool on_device() const { return ops_->memory().kind() != Memory::host; }

  /// picture: bytes [height, width, 3], the whole camera picture squeezed to this size, in the
  /// host's memory or where the backend computes; complete there. Returns height x width
  /// probabilities that a pixel shows a person, in the host's memory; valid until the next call.
  const float* run(const Tensor& picture);
  /// The same for bytes in the host's memory.
  const float* run(const uint8_t* rgb);

 private:
  Tensor forward(const Tensor& picture);

  std::shared_ptr<const SegmentationModel> model_;
  std::unique_ptr<Ops> ops_;
  std::unique_ptr<MobileOps> mobile_;
  Arena arena_;
  std::vector<Tensor> buffers_;
  Tensor picture_;           // where the operations want it
  std::vector<float> mask_;  // where they keep theirs elsewhere
};

}  // namespace driftless
