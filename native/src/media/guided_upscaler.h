#pragma once

#include <memory>

#include "media/picture.h"
#include "stream/picture_size.h"

namespace driftless {

/// Brings what the model made to the camera's size and shape, with the contours of the very camera
/// frame that it was made from:
///
///   out = enlarged(small) + enlarged(a) * (camera - enlarged(softened(shrunk(camera))))
///
/// in brightness, where `a` is the slope of the local regression of the model's picture on the
/// shrunk camera frame, as in the guided filter (He, Sun and Tang, 2010; "fast" form, He and Sun,
/// 2015). Where the two go together, an edge becomes as sharp as the camera's; where they do not,
/// the slope is near zero and nothing of the camera comes back. Unlike the filter itself this keeps
/// brush strokes that the camera knows nothing of. Colour is enlarged alone. Each frame depends on
/// its own pair only, so a still scene stays still. Not thread-safe.
class GuidedUpscaler {
 public:
  GuidedUpscaler();
  ~GuidedUpscaler();
  GuidedUpscaler(const GuidedUpscaler&) = delete;
  GuidedUpscaler& operator=(const GuidedUpscaler&) = delete;

  /// small: 4:2:0, the model's picture of the whole camera picture, whose shape may differ a
  /// little. camera: planar with 8 bits of brightness in plane 0. size: even. The result is 4:2:0
  /// of that size and stays the upscaler's: the next call overwrites it. Throws driftless::Error
  /// for sizes that swscale cannot scale or when memory is short.
  const AVFrame& upscale(const AVFrame& small, const AVFrame& camera, PictureSize size);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driftless
