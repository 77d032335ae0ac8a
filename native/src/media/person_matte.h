#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "media/matte_refiner.h"
#include "media/picture.h"
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
/// Throws driftless::Error naming the file that is missing or cannot be read.
std::shared_ptr<const MatteModels> load_matte_models(const std::string& dir,
                                                     const std::string& backend);

/// One camera's matte from frame to frame. Not thread-safe.
class PersonMatte {
 public:
  explicit PersonMatte(std::shared_ptr<const MatteModels> models);
  ~PersonMatte();

  /// frame: 4:2:0 limited range BT.601 of any size. Makes the matte of this frame. Throws
  /// driftless::Error when it cannot; the matte is then empty.
  void update(const AVFrame& frame, double capture_ms);

  /// Of the last frame: height x width bytes, 255 is person.
  const uint8_t* alpha() const { return alpha_.data(); }
  /// 0 while nobody is there, 1 while somebody is, in between while fading.
  float opacity() const { return gate_.opacity(); }
  const MatteRefiner& refiner() const { return *refiner_; }
  /// The small RGB picture that the network saw, refiner().height() x refiner().width() x 3.
  const uint8_t* small_rgb() const { return rgb_.data(); }

 private:
  struct Scaler;
  void prepare(const AVFrame& frame);

  const std::shared_ptr<const MatteModels> models_;
  const SegmentationModel* network_ = nullptr;
  std::unique_ptr<Segmenter> segmenter_;
  std::unique_ptr<MatteRefiner> refiner_;
  std::unique_ptr<Scaler> scaler_;
  PresenceGate gate_;
  std::vector<uint8_t> rgb_, alpha_;
  int width_ = 0, height_ = 0;
  double last_capture_ms_ = 0;
};

}  // namespace driftless
