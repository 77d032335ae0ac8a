#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "media/compute_loop.h"
#include "media/frame_outbox.h"
#include "media/input_stage.h"
#include "media/output_stage.h"
#include "media/overload_blur.h"
#include "media/scene_inbox.h"
#include "media/session_types.h"

namespace driftless {

/// How full a session's queues are, in frames but for `events`.
struct SessionQueues {
  size_t input = 0, compute = 0, generated = 0, callbacks = 0, events = 0;
};

/// One transformed track: an input stage, a place in the compute loop, an output stage, and a
/// bounded box in which finished frames and events wait for the owner.
class MediaSession : private ComputeLoop::Listener {
 public:
  static constexpr size_t kMaxWaitingFrames = 8;
  static constexpr size_t kMaxWaitingEvents = 32;

  /// wake: called from the session's threads when something waits in the box; it must return
  /// quickly and must not call back into the session. Throws driftless::Error for bad options.
  /// mattes: for background mode; null where the engine has none.
  MediaSession(const SessionOptions& options, const ModelInfo& model,
               std::shared_ptr<const MatteModels> mattes, ComputeLoop& loop,
               std::function<void()> wake);
  ~MediaSession() override;

  /// The methods below are safe from any thread.
  void push_frame(const uint8_t* data, size_t size, double capture_ms);
  uint64_t set_transform(const Transform& transform);
  void set_bitrate(int64_t bits_per_second);
  void request_key_frame();
  /// In the lower layer alone.
  void request_low_key_frame();

  std::optional<OutgoingFrame> take_frame();
  std::optional<SessionEvent> take_event();

  const SessionCounters& counters() const { return counters_; }
  SessionQueues queues() const;

  /// Joins the session's threads; wake is not called afterwards. Takes at most as long as the batch
  /// that is being computed. Safe to call again, from several threads too.
  void stop();

 private:
  void submit(Chunk chunk);
  void on_generated(GeneratedChunk chunk) override;
  void on_compute_event(SessionEvent event) override;
  void on_level(const LevelChange& change) override;
  void on_encoded(OutgoingFrame frame);
  void post(SessionEvent event);

  const ModelInfo model_;
  ComputeLoop& loop_;
  const std::function<void()> wake_;
  SessionCounters counters_;
  std::atomic<double> rate_{1};  // share of the promised frame rate

  mutable std::mutex box_mutex_;
  FrameOutbox frames_{kMaxWaitingFrames};
  BoundedQueue<SessionEvent> events_{kMaxWaitingEvents, DropPolicy::kDropOldest};
  std::optional<std::pair<uint64_t, bool>> applied_;  // revision, completely

  // From set_transform() on nothing leaves that shows a hidden room. The gate is at the box, under
  // its mutex; whoever makes pictures looks at these early, to save what would be thrown away.
  std::atomic<bool> room_hidden_{false}, background_mode_{false};
  std::mutex transform_mutex_;  // the gate and the stages get the same settings last
  SceneInbox scenes_;
  OverloadBlur overload_blur_;  // of the input stage's thread

  std::mutex stop_mutex_;
  bool stopped_ = false;

  // In this order: what a stage calls must be there before its thread starts.
  std::unique_ptr<OutputStage> output_;
  std::shared_ptr<ComputeLoop::Track> track_;
  std::unique_ptr<InputStage> input_;
};

}  // namespace driftless
