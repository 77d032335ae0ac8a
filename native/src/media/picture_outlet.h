#pragma once

#include <memory>

#include "media/background_canvas.h"
#include "media/session_types.h"
#include "ops/video_ops.h"

struct AVBufferRef;

namespace driftless {

/// The way of the model's pixels to pictures that an encoder takes: in the camera's shape, and
/// enlarged, with the camera's contours, where the camera is larger than what was painted. Not
/// thread-safe.
class PictureOutlet {
 public:
  /// For chunks in the host's memory, by swscale; or for those on a GPU, where `video` is not null.
  static std::unique_ptr<PictureOutlet> make(std::unique_ptr<VideoOps> video,
                                             const ModelInfo& model);
  virtual ~PictureOutlet() = default;

  /// Of the picture that viewers get of frame number `index`: FrameMeta::output, or what was
  /// painted where nothing is known of the camera.
  PictureSize size(const GeneratedChunk& chunk, size_t index) const;

  /// Frame number `index` of the chunk at its size(). gpu_frames: the encoder's frames, of
  /// NV12 of that size on the same GPU; null: it is to lie in the host's memory, as 4:2:0 planes.
  /// Stays the outlet's: the next call may overwrite it. Throws driftless::Error when memory is
  /// short.
  virtual const AVFrame& picture(const GeneratedChunk& chunk, size_t index,
                                 AVBufferRef* gpu_frames) = 0;
  /// The same for a picture that is finished, of its own size; it must live as long as the result.
  virtual const AVFrame& whole(const ComposedPicture& picture, AVBufferRef* gpu_frames) = 0;

 protected:
  explicit PictureOutlet(const ModelInfo& model) : model_(model) {}
  PictureSize painted_size(const ChunkPixels& chunk) const {
    return chunk.size.known() ? chunk.size : model_.size();
  }
  const uint8_t* pixels(const GeneratedChunk& chunk, size_t index) const {
    return chunk.data() + static_cast<size_t>(painted_size(chunk).rgb(1).count()) * index;
  }
  virtual bool knows_camera(const FrameMeta& meta) const = 0;

 private:
  const ModelInfo model_;
};

}  // namespace driftless
