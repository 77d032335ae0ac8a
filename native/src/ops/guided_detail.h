#pragma once

// What an enlarged picture takes over from the camera: shared by the host's code and by kernels.
// See media/guided_upscaler.h for where it comes from.

#include <cstdint>

#include "ops/host_and_device.h"

namespace driftless {

struct GuidedDetail {
  /// Half the side of the regression's window, in pixels of the small picture.
  static constexpr int kRadius = 2;
  /// Added to the variance: what a camera's noise has, so that flat areas take nothing over.
  static constexpr float kNoiseVariance = 40.0f;
  /// Slopes are enlarged as bytes: slope * kSlopeUnit + 128, which limits them to -1.6..1.6.
  static constexpr int kSlopeUnit = 80;

  /// Of the regression of a picture's luma on the camera's over a window of so many pixels, as a
  /// byte: from the sums of the camera's luma, the picture's, the camera's squares and the
  /// products.
  DL_HOST_AND_DEVICE static uint8_t slope(float camera, float picture, float squares,
                                          float products, int pixels) {
    const float share = 1.0f / static_cast<float>(pixels);
    const float mean_camera = camera * share, mean_picture = picture * share;
    const float variance = squares * share - mean_camera * mean_camera;
    const float covariance = products * share - mean_camera * mean_picture;
    const float value = covariance / ((variance > 0.0f ? variance : 0.0f) + kNoiseVariance) *
                            static_cast<float>(kSlopeUnit) +
                        128.5f;
    return static_cast<uint8_t>(value > 0.0f ? (value < 255.0f ? value : 255.0f) : 0.0f);
  }

  /// Luma of the enlarged picture with the camera's detail: camera - blurred, by the slope.
  DL_HOST_AND_DEVICE static uint8_t add(int enlarged, int slope_byte, int camera, int blurred) {
    const int value = enlarged + (slope_byte - 128) * (camera - blurred) / kSlopeUnit;
    return static_cast<uint8_t>(value < 16 ? 16 : (value > 235 ? 235 : value));
  }
};

}  // namespace driftless
