#pragma once

#include <cstdint>
#include <vector>

#include "media/matte_refiner.h"

struct AVFrame;

namespace driftless {

/// Puts a person in front of a scene, in 4:2:0, without leaving the camera's own pixels where the
/// matte is solid. Where it is not, the rim is painted in the person's colours near by instead of
/// in what the camera saw, which is half room.
class Compositor {
 public:
  /// camera, scene and out: 4:2:0 of the same even size; out may be scene. alpha: height x width
  /// bytes from matte.upsample(). opacity 0..1 fades the whole person. Throws driftless::Error when
  /// the frames' formats or sizes differ.
  void compose(const AVFrame& camera, const AVFrame& scene, const uint8_t* alpha,
               const MatteRefiner& matte, float opacity, AVFrame& out);

 private:
  void paint_row(const uint8_t* camera, const uint8_t* scene, const uint8_t* alpha, int width,
                 const float* rim_top, int rim_width, int channel, uint8_t* out);

  std::vector<uint8_t> faded_, small_, row_;
};

}  // namespace driftless
