#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "media/background_canvas.h"
#include "media/frame_converter.h"
#include "media/room_blur.h"
#include "media/scene_feed.h"
#include "media/session_types.h"

namespace driftless {

/// Makes the pictures of background mode, and those that a hidden room's restyle begins with: the
/// camera's person before a scene, a colour or the blurred room. The camera's pixels reach the
/// picture through the matte only; where there is none (nobody in the picture, the first pictures,
/// an error) the picture is the background. Not thread-safe.
class BackgroundStage {
 public:
  using ChunkSink = std::function<void(Chunk)>;

  /// video: where the pictures are made; null: in the host's memory. sink: takes chunks of the
  /// scene to the model. inbox: where they come back.
  BackgroundStage(std::shared_ptr<const MatteModels> models, std::shared_ptr<VideoOps> video,
                  const ModelInfo& model, ChunkSink sink, SceneInbox& inbox);

  /// revision: the session's name for these settings, which the model's chunks carry.
  void set(const Transform& transform, uint64_t revision);

  /// camera: as decoded. Never throws for a matte that fails (unless a device is lost):
  /// then the scene shows alone and `problem` says why. Throws driftless::Error when not even a
  /// scene can be made.
  ComposedPicture compose(const AVFrame& camera, double capture_ms, std::string& problem);

 private:
  const ChunkSink sink_;
  const std::unique_ptr<BackgroundCanvas> canvas_;
  RoomBlur blur_;
  FrameConverter blurred_, flat_;
  const AVFrame* plain_ = nullptr;  // flat_'s, where the background is one colour
  SceneFeed feed_;
  Transform transform_;
};

}  // namespace driftless
