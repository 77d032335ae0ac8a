#pragma once

#include <memory>
#include <optional>

#include "media/background_canvas.h"
#include "media/session_types.h"
#include "ops/video_ops.h"

struct AVBufferRef;

namespace driftless {

/// The way of the model's pixels to pictures that an encoder takes: enlarged, with the camera's
/// contours, where the camera is larger than the model. Not thread-safe.
class PictureOutlet {
 public:
  /// For chunks in the host's memory, by swscale; or for those on a GPU, where `video` is not null.
  static std::unique_ptr<PictureOutlet> make(std::unique_ptr<VideoOps> video,
                                             const ModelInfo& model);
  virtual ~PictureOutlet() = default;

  /// Of the pictures that viewers get. A camera that sends smaller pictures for a while does not
  /// change it.
  PictureSize size(const FrameMeta& meta);

  /// Frame number `index` of the chunk at size() of its meta. gpu_frames: the encoder's frames, of
  /// NV12 of that size on the same GPU; null: it is to lie in the host's memory, as 4:2:0 planes.
  /// Stays the outlet's: the next call may overwrite it. Throws driftless::Error when memory is
  /// short.
  virtual const AVFrame& picture(const GeneratedChunk& chunk, size_t index,
                                 AVBufferRef* gpu_frames) = 0;
  /// The same for a picture that is finished, of its own size; it must live as long as the result.
  virtual const AVFrame& whole(const ComposedPicture& picture, AVBufferRef* gpu_frames) = 0;

 protected:
  explicit PictureOutlet(const ModelInfo& model)
      : model_(model), size_{model.width, model.height} {}
  const uint8_t* pixels(const GeneratedChunk& chunk, size_t index) const {
    return chunk.data() + static_cast<size_t>(model_.width) * model_.height * 3 * index;
  }
  /// By the camera's picture; none where nothing is known of it.
  virtual std::optional<PictureSize> asked_size(const FrameMeta& meta) const = 0;

  const ModelInfo model_;

 private:
  PictureSize size_;  // the largest so far
};

}  // namespace driftless
