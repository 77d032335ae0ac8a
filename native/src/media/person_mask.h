#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "media/matte_refiner.h"
#include "media/presence_gate.h"
#include "models/segmenter.h"

namespace driftless {

/// The segmentation networks of an engine, shared by its sessions.
struct MatteModels {
  std::shared_ptr<const SegmentationModel> landscape, general;

  /// The network for a picture of that shape: both are squeezed to their own, so the nearer one.
  const std::shared_ptr<const SegmentationModel>& for_size(int width, int height) const;
};

/// Loads `selfie_segmentation_landscape.tflite` and `selfie_segmentation.tflite` from a folder.
/// backend: where they run, as for make_ops(). Throws driftless::Error naming the file that is
/// missing or cannot be read.
std::shared_ptr<const MatteModels> load_matte_models(const std::string& dir,
                                                     const std::string& backend);

/// One camera's person from frame to frame, at the small size that the network sees. Not
/// thread-safe.
class PersonMask {
 public:
  /// Throws driftless::Error without models.
  explicit PersonMask(std::shared_ptr<const MatteModels> models);

  /// Chooses the network for pictures of that size, and forgets the past. Before anything else.
  void fit(int width, int height);

  /// rgb: the picture, refiner().height() x refiner().width() x 3. on_gpu: the same in a GPU's
  /// memory, [height, width, 3], or absent: a network that runs there takes it instead.
  void update(const uint8_t* rgb, double capture_ms, const Tensor& on_gpu = {});

  /// 0 while nobody is there, 1 while somebody is, in between while fading.
  float opacity() const { return gate_.opacity(); }
  MatteRefiner& refiner() { return *refiner_; }
  const MatteRefiner& refiner() const { return *refiner_; }

 private:
  const std::shared_ptr<const MatteModels> models_;
  const SegmentationModel* network_ = nullptr;
  std::unique_ptr<Segmenter> segmenter_;
  std::unique_ptr<MatteRefiner> refiner_;
  PresenceGate gate_;
  double last_capture_ms_ = 0;
};

}  // namespace driftless
