#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "media/background_stage.h"
#include "media/bounded_queue.h"
#include "media/decoder.h"
#include "media/frame_sampler.h"
#include "media/picture_intake.h"
#include "media/session_types.h"

namespace driftless {

/// From encoded frames to chunks: one thread that decodes, drops what is above the model's rate,
/// scales, and hands a chunk on as soon as it is full. At most one chunk is being filled here.
/// Where the room is to be hidden, the person is cut out first. In background mode it makes whole
/// pictures instead, at the camera's rate.
class InputStage {
 public:
  // About half a second of a 30 fps camera: a decoder that is further behind starts anew.
  static constexpr size_t kMaxWaitingFrames = 16;
  static constexpr double kKeyFrameRequestIntervalMs = 500;
  // A picture of a wrong size stays wrong until the sender changes it; asking often costs
  // bandwidth.
  static constexpr double kBadSizeRequestIntervalMs = 5000;
  static constexpr double kErrorReportIntervalMs = 1000;

  // A faster camera is thinned out in background mode.
  static constexpr double kMaxPictureFps = 30;

  using ChunkSink = std::function<void(Chunk)>;
  /// A composed picture, of which frame, by which settings, and what composing it cost.
  using PictureSink =
      std::function<void(ComposedPicture, const FrameMeta&, uint64_t revision, double compute_ms)>;

  /// mattes may be null: then settings that hide the room show nothing. video: where pictures are
  /// to lie; null: in the host's memory. rate: the share of the promised frame rate that the model
  /// is to get now; any thread may change it. scenes: where the chunks of scenes come back that the
  /// sink was given. sinks and events are called from the stage's thread. Throws driftless::Error
  /// where FFmpeg lacks the codec.
  InputStage(const SessionOptions& options, const ModelInfo& model,
             std::shared_ptr<const MatteModels> mattes, SessionCounters& counters,
             const std::atomic<double>& rate, std::shared_ptr<VideoOps> video, ChunkSink sink,
             PictureSink pictures, SceneInbox& scenes, EventSink events);
  ~InputStage();

  /// Copies the frame and returns at once. Safe from any thread.
  void push(const uint8_t* data, size_t size, double capture_ms);

  /// Takes effect with the next frame. Safe from any thread.
  void set_transform(const Transform& transform, uint64_t revision);

  /// Ends the thread; frames that wait are forgotten. Safe to call again.
  void stop();

  size_t waiting() const;

 private:
  struct Incoming {
    std::vector<uint8_t> data;
    double capture_ms = 0;
    double pushed_ms = 0;
  };

  void run();
  void decode_one(const Incoming& incoming);
  void tell_size(const AVFrame& frame);
  /// Forgets a chunk that was begun with pictures of another shape.
  void begin_chunk_for(const PictureSize& picture);
  void hand_on_full_chunk();
  /// The person before something else; nothing where not even that can be made.
  std::optional<ComposedPicture> cut_out(const AVFrame& frame, double capture_ms);
  void adopt_transform();
  void ask_for_key_frame(const std::string& reason, double now_ms);
  void report(const std::string& message, double now_ms);

  const ModelInfo model_;
  SessionCounters& counters_;
  const double fps_;
  const std::atomic<double>& rate_;
  const ChunkSink sink_;
  const PictureSink pictures_;
  const EventSink events_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  BoundedQueue<Incoming> queue_;
  bool lost_input_ = false;
  bool stopping_ = false;
  std::optional<std::pair<Transform, uint64_t>> pending_;

  // Used by the thread only.
  const std::unique_ptr<PictureIntake> intake_;
  Decoder decoder_;
  FrameSampler sampler_, picture_sampler_;
  const std::unique_ptr<BackgroundStage> background_;
  Transform transform_;
  uint64_t revision_ = 0;
  Chunk chunk_;
  PictureSize camera_, told_output_;
  bool bad_size_ = false;
  double last_request_ms_ = -1e9, last_report_ms_ = -1e9;

  std::thread thread_;
};

}  // namespace driftless
