#pragma once

#include <cstdint>
#include <memory>

#include "media/picture.h"

namespace driftless {

/// Brings decoded pictures of any size to the model's size and back into the encoder's form.
/// A picture of another shape is stretched, so that nothing of it is lost and no bars are added
/// that the model would repaint. Not thread-safe.
class FrameConverter {
 public:
  /// width, height: of the model's picture in pixels. Throws driftless::Error below 2x2.
  FrameConverter(int width, int height);
  ~FrameConverter();
  FrameConverter(const FrameConverter&) = delete;
  FrameConverter& operator=(const FrameConverter&) = delete;

  /// frame: any planar or packed format that swscale reads; size and format may change from call to
  /// call. rgb: height x width x 3 bytes. Throws driftless::Error for a format it cannot read.
  void to_rgb(const AVFrame& frame, uint8_t* rgb);

  /// rgb: height x width x 3 bytes. The frame is 4:2:0, limited range, BT.601, of the model's size,
  /// and stays the converter's: it is overwritten by the next call.
  const AVFrame& to_yuv(const uint8_t* rgb);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driftless
