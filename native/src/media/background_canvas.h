#pragma once

#include <cstdint>
#include <memory>

#include "media/person_mask.h"
#include "media/picture.h"
#include "ops/video_ops.h"
#include "stream/picture_size.h"

namespace driftless {

/// A finished picture, 4:2:0 of limited range: in the host's memory or on a GPU.
struct ComposedPicture {
  AvFramePtr host;
  std::shared_ptr<uint8_t> memory;  // of `device`; null: it is in the host's
  YuvPicture device;

  bool on_device() const { return memory != nullptr; }
  PictureSize size() const;
};

/// Where a picture of background mode is put together, from a camera's picture to a person before a
/// scene. Not thread-safe.
class BackgroundCanvas {
 public:
  /// Larger cameras are scaled down.
  static constexpr int kMostLongSide = 1280, kMostShortSide = 720;

  /// By swscale and the host's code; or on a GPU where `video` is not null.
  static std::unique_ptr<BackgroundCanvas> make(std::shared_ptr<const MatteModels> models,
                                                std::shared_ptr<VideoOps> video);
  virtual ~BackgroundCanvas() = default;

  /// Of the picture that is made of a camera's, in its shape.
  static PictureSize size_for(const PictureSize& camera);

  /// camera: as decoded; it must live until compose(). Throws driftless::Error when it cannot be
  /// used at all.
  virtual void take(const AVFrame& camera) = 0;
  /// Of the picture that was taken, and so of the one that will be made.
  virtual PictureSize size() const = 0;
  /// Finds the person in it. Throws driftless::Error when it cannot.
  virtual void cut(double capture_ms) = 0;
  virtual const PersonMask& person() const = 0;
  /// The small RGB picture that the network saw.
  virtual const uint8_t* small_rgb() const = 0;
  /// The person before a part of a scene, 4:2:0 in the host's memory. opacity: of the person; 0
  /// where cut() has failed.
  virtual ComposedPicture compose(const AVFrame& scene, const PicturePart& part, float opacity) = 0;
};

/// The two kinds.
std::unique_ptr<BackgroundCanvas> make_host_canvas(std::shared_ptr<const MatteModels> models);
std::unique_ptr<BackgroundCanvas> make_device_canvas(std::shared_ptr<const MatteModels> models,
                                                     std::shared_ptr<VideoOps> video);

}  // namespace driftless
