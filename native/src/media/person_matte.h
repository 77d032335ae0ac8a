#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "media/person_mask.h"
#include "media/picture.h"

namespace driftless {

/// One camera's matte from frame to frame, in the host's memory. Not thread-safe.
class PersonMatte {
 public:
  explicit PersonMatte(std::shared_ptr<const MatteModels> models);
  ~PersonMatte();

  /// frame: 4:2:0 limited range BT.601 of any size. Makes the matte of this frame. Throws
  /// driftless::Error when it cannot; the matte is then empty.
  void update(const AVFrame& frame, double capture_ms);

  /// Of the last frame: height x width bytes, 255 is person.
  const uint8_t* alpha() const { return alpha_.data(); }
  const PersonMask& mask() const { return mask_; }
  float opacity() const { return mask_.opacity(); }
  const MatteRefiner& refiner() const { return mask_.refiner(); }
  /// The small RGB picture that the network saw, refiner().height() x refiner().width() x 3.
  const uint8_t* small_rgb() const { return rgb_.data(); }

 private:
  struct Scaler;
  void prepare(const AVFrame& frame);

  PersonMask mask_;
  std::unique_ptr<Scaler> scaler_;
  std::vector<uint8_t> rgb_, alpha_;
  int width_ = 0, height_ = 0;
};

}  // namespace driftless
