#pragma once

// How a person is cut out of a picture and put before a scene, pixel by pixel: shared by the host's
// code and by kernels. What it is for is said in media/matte_refiner.h and media/compositor.h.

#include <cstdint>

#include "ops/host_and_device.h"

namespace driftless {

struct MatteMath {
  /// Limited-range luma (16 to 235) to 0..1, as the guide of the small picture has it.
  static constexpr float kLumaScale = 1.0f / 219.0f;

  /// Where a column or row of a large picture lies on a small one: centre on centre.
  DL_HOST_AND_DEVICE static float on_small(int index, int large, int small) {
    const float at =
        (static_cast<float>(index) + 0.5f) * static_cast<float>(small) / static_cast<float>(large) -
        0.5f;
    const float last = static_cast<float>(small - 1);
    return at > 0.0f ? (at < last ? at : last) : 0.0f;
  }

  /// Of a pixel with that luma, by the fit around it; 255 is person.
  DL_HOST_AND_DEVICE static uint8_t alpha(float slope, float offset, uint8_t luma) {
    const float guide = (static_cast<float>(luma) - 16.0f) * kLumaScale;
    // The fit overshoots a little on both sides; cutting it makes solid parts solid.
    float value = (slope * guide + offset - 0.2f) * (255.0f / 0.7f);
    value = value > 0.0f ? value : 0.0f;
    value = value < 255.0f ? value : 255.0f;
    return static_cast<uint8_t>(static_cast<int32_t>(value + 0.5f));
  }

  /// For a person that fades; opacity 0..1.
  DL_HOST_AND_DEVICE static uint32_t fade(float opacity) {
    return static_cast<uint32_t>((opacity > 0.0f ? (opacity < 1.0f ? opacity : 1.0f) : 0.0f) *
                                 256.0f);
  }
  DL_HOST_AND_DEVICE static uint8_t faded(uint8_t alpha, uint32_t fade) {
    return static_cast<uint8_t>(alpha * fade >> 8);
  }

  /// What the camera saw, or at the rim, where that is half room, the person's colour near by.
  /// colours: Y, Cb, Cr and how far inside the person the pixel lies. channel: 0 is luma.
  DL_HOST_AND_DEVICE static uint8_t person(uint8_t camera, uint8_t alpha, const float* colours,
                                           int channel) {
    if (alpha == 0) return camera;
    // The lower the share of the person, the less is left of what the camera saw. Its colour is
    // smeared over a few pixels (4:2:0, compression), so chroma is mended further in than luma.
    float own = static_cast<float>(int{alpha} * alpha) * (1.0f / 65025.0f);
    if (channel > 0) own *= colours[3];
    if (own > 0.999f) return camera;
    const float near = colours[channel];
    const float value = near + own * (static_cast<float>(camera) - near);
    return static_cast<uint8_t>(value > 0.0f ? (value < 255.0f ? value : 255.0f) : 0.0f);
  }

  DL_HOST_AND_DEVICE static uint8_t mix(uint8_t person, uint8_t scene, uint8_t alpha) {
    const uint32_t mixed = person * alpha + scene * (255u - alpha) + 128;
    return static_cast<uint8_t>((mixed + (mixed >> 8)) >> 8);
  }
};

}  // namespace driftless
