#pragma once

#include <cstdint>
#include <vector>

#include "media/matte_refiner.h"

namespace driftless {

/// The real room, blurred until nothing in it can be read, without the person in it: her pixels are
/// left out of the means, so that no halo of her lies around her. Steadied over time.
class RoomBlur {
 public:
  static constexpr int kWidth = 64, kHeight = 36;

  /// rgb and matte: what the segmentation saw and made of it (same size, at least 64x36). Returns
  /// kHeight x kWidth x 3 bytes, valid until the next call.
  const uint8_t* update(const uint8_t* rgb, const MatteRefiner& matte);

  /// Forgets the room, after a gap.
  void reset() { started_ = false; }

 private:
  bool started_ = false;
  std::vector<float> maps_[4], steady_, memory_;
  std::vector<uint8_t> out_;
};

}  // namespace driftless
