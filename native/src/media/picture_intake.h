#pragma once

#include <memory>

#include "media/background_canvas.h"
#include "media/output_size.h"
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
  /// What pictures of a camera are painted at, and what viewers get of them after those before.
  PictureSize painted_size(const PictureSize& camera) const { return model_.size_for(camera); }
  PictureSize output_size(const PictureSize& camera) { return output_.of(camera); }

  /// Brings a whole picture to painted_size() as picture number `index` of the chunk, which gets
  /// its size and memory with the first; the others must be painted at the same size. Fills in what
  /// the output needs of the camera. Throws driftless::Error for a format it cannot read, or when
  /// memory is short.
  void take(const std::shared_ptr<const AVFrame>& frame, size_t index, ChunkPixels& chunk,
            FrameMeta& meta);
  /// The same for a picture that was put together, made by a canvas of the same kind. Whatever is
  /// filled in is of that picture: of the camera's own nothing goes on.
  void take(ComposedPicture picture, size_t index, ChunkPixels& chunk, FrameMeta& meta);

 protected:
  explicit PictureIntake(const ModelInfo& model) : model_(model), output_(model) {}
  virtual void bring(const std::shared_ptr<const AVFrame>& frame, size_t index, ChunkPixels& chunk,
                     FrameMeta& meta) = 0;
  virtual void bring(ComposedPicture picture, size_t index, ChunkPixels& chunk,
                     FrameMeta& meta) = 0;

  static size_t frame_bytes(const PictureSize& size) {
    return static_cast<size_t>(size.rgb(1).count());
  }

  const ModelInfo model_;

 private:
  void begin(const PictureSize& picture, size_t index, ChunkPixels& chunk) const;

  OutputSize output_;
};

}  // namespace driftless
