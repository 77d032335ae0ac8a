#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "media/frame_converter.h"
#include "media/scene.h"
#include "media/scene_inbox.h"
#include "media/session_types.h"

namespace driftless {

/// The moving scene of one session: drawn at a low rate, sent to the model for repainting in
/// chunks, and shown at any rate by mixing neighbouring pictures. Until repainted pictures come,
/// and when they stop coming, the drawn ones show; nothing in here ever comes from a camera.
class SceneFeed {
 public:
  static constexpr double kFps = 8;
  static constexpr double kFadeMs = 600;    ///< Between drawn and repainted.
  static constexpr double kStaleMs = 1500;  ///< So long without repainted pictures, and they fade.
  static constexpr double kHeadStartMs = 200;  ///< Repainted pictures wait so long at the start.

  /// inbox: where repainted chunks arrive; it must outlive the feed.
  SceneFeed(const ModelInfo& model, SceneInbox& inbox);

  /// The scene at the size that fits pictures of this camera best. Another size begins anew, drawn
  /// at once. Before anything else.
  void fit(const PictureSize& camera);

  /// repaint: pictures go to the model. Another scene fades in from the one before.
  /// revision: of the settings; chunks that the model made by older ones are not shown.
  void set(SceneKind kind, uint64_t seed, bool repaint, uint64_t revision);

  /// Draws what is due at this time (any monotonic clock in milliseconds). Returns a chunk for the
  /// model whenever one is full.
  std::optional<Chunk> advance(double now_ms);

  /// The scene at this time: 4:2:0 of size(), the feed's own until the next call.
  const AVFrame& picture(double now_ms);
  const PictureSize& size() const { return size_; }

 private:
  using Planes = std::vector<uint8_t>;  // Y, Cb, Cr without padding
  /// Pictures shown one after the other, each fading into the next.
  struct Strip {
    Planes from, to;
    double begin_ms = 0;  // when `from` began to fade into `to`
  };

  Planes to_planes(const uint8_t* rgb);
  void take_repainted(double now_ms);
  void mix(const Planes& a, const Planes& b, double share, Planes& out) const;

  void begin_anew();

  const ModelInfo model_;
  PictureSize size_;
  std::optional<FrameConverter> converter_;
  std::unique_ptr<SceneRenderer> renderer_;
  SceneKind kind_ = SceneKind::kGradient;
  uint64_t seed_ = 0;
  bool repaint_ = false;
  uint64_t revision_ = 0;
  Chunk chunk_;
  std::vector<uint8_t> rgb_;
  double next_ms_ = 0, scene_seconds_ = 0;
  bool started_ = false;

  Strip drawn_, painted_;
  double painted_share_ = 0, last_picture_ms_ = 0, last_painted_ms_ = -1e12;
  Planes mixed_, mixed_painted_;
  AvFramePtr picture_;

  SceneInbox& inbox_;
  std::deque<Planes> waiting_;
};

}  // namespace driftless
