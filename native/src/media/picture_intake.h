#pragma once

#include <memory>

#include "media/background_canvas.h"
#include "media/session_types.h"
#include "ops/video_ops.h"

namespace driftless {

/// The way of decoded pictures into a chunk of the model's pixels. Not thread-safe.
class PictureIntake {
 public:
  /// By swscale, or on a GPU where `video` is not null: see VideoOps.
  static std::unique_ptr<PictureIntake> make(std::shared_ptr<VideoOps> video,
                                             const ModelInfo& model);
  virtual ~PictureIntake() = default;

  /// The GPU whose decoded pictures it takes as they are; -1: none, it wants them in the host's
  /// memory.
  virtual int gpu() const = 0;
  /// Brings a picture to the model's size, cropped around the centre, as picture number `index` of
  /// the chunk, which gets its memory with the first. Fills in what the output needs of the camera.
  /// Throws driftless::Error for a format it cannot read, or when memory is short.
  virtual void take(const std::shared_ptr<const AVFrame>& frame, size_t index, ChunkPixels& chunk,
                    FrameMeta& meta) = 0;
  /// The same for a picture that was put together, made by a canvas of the same kind. Whatever is
  /// filled in is of that picture: of the camera's own nothing goes on.
  virtual void take(ComposedPicture picture, size_t index, ChunkPixels& chunk, FrameMeta& meta) = 0;
};

}  // namespace driftless
