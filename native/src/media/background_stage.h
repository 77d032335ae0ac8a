#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "media/compositor.h"
#include "media/person_matte.h"
#include "media/room_blur.h"
#include "media/scene_feed.h"
#include "media/session_types.h"

struct SwsContext;

namespace driftless {

/// Makes the pictures of background mode: the camera's person before a scene. The camera's pixels
/// reach the picture through the matte only; where there is none (nobody in the picture, the first
/// pictures, an error) the picture is the scene. Not thread-safe.
class BackgroundStage {
 public:
  static constexpr int kMaxWidth = 1280, kMaxHeight = 720;  ///< Larger cameras are scaled down.

  using ChunkSink = std::function<void(Chunk)>;

  /// sink: takes chunks of the scene to the model.
  /// inbox: where they come back.
  BackgroundStage(std::shared_ptr<const MatteModels> models, const ModelInfo& model, ChunkSink sink,
                  SceneInbox& inbox);
  ~BackgroundStage();

  /// revision: the session's name for these settings, which the model's chunks carry.
  void set(const Transform& transform, uint64_t revision);

  /// camera: as decoded. Never throws for a matte that fails: then the scene shows alone and
  /// `problem` says why. Throws driftless::Error when not even a scene can be made.
  AvFramePtr compose(const AVFrame& camera, double capture_ms, std::string& problem);

 private:
  struct Scaler;

  const AVFrame& normal(const AVFrame& camera);
  void draw_scene(double now_ms, bool room, AVFrame& out);

  const ChunkSink sink_;
  PersonMatte matte_;
  Compositor compositor_;
  RoomBlur blur_;
  SceneFeed feed_;
  Transform transform_;
  std::unique_ptr<Scaler> camera_scaler_, scene_scaler_, blur_scaler_;
  AvFramePtr normal_, blur_rgb_;
};

}  // namespace driftless
