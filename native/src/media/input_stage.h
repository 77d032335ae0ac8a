#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "media/bounded_queue.h"
#include "media/decoder.h"
#include "media/frame_converter.h"
#include "media/frame_sampler.h"
#include "media/session_types.h"

namespace driftless {

/// From encoded frames to chunks: one thread that decodes, drops what is above the model's rate,
/// scales, and hands a chunk on as soon as it is full. At most one chunk is being filled here.
class InputStage {
 public:
  // About half a second of a 30 fps camera: a decoder that is further behind starts anew.
  static constexpr size_t kMaxWaitingFrames = 16;
  static constexpr double kKeyFrameRequestIntervalMs = 500;
  // A picture of a wrong size stays wrong until the sender changes it; asking often costs
  // bandwidth.
  static constexpr double kBadSizeRequestIntervalMs = 5000;
  static constexpr double kErrorReportIntervalMs = 1000;

  using ChunkSink = std::function<void(Chunk)>;

  /// sink and events are called from the stage's thread. Throws driftless::Error where FFmpeg lacks
  /// the codec.
  InputStage(const SessionOptions& options, const ModelInfo& model, SessionCounters& counters,
             ChunkSink sink, EventSink events);
  ~InputStage();

  /// Copies the frame and returns at once. Safe from any thread.
  void push(const uint8_t* data, size_t size, double capture_ms);

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
  void add_to_chunk(const AVFrame& frame, const FrameMeta& meta);
  void ask_for_key_frame(const std::string& reason, double now_ms);
  void report(const std::string& message, double now_ms);

  const ModelInfo model_;
  SessionCounters& counters_;
  const ChunkSink sink_;
  const EventSink events_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  BoundedQueue<Incoming> queue_;
  bool lost_input_ = false;
  bool stopping_ = false;

  // Used by the thread only.
  Decoder decoder_;
  FrameConverter converter_;
  FrameSampler sampler_;
  Chunk chunk_;
  int width_ = 0, height_ = 0;
  bool bad_size_ = false;
  double last_request_ms_ = -1e9, last_report_ms_ = -1e9;

  std::thread thread_;
};

}  // namespace driftless
