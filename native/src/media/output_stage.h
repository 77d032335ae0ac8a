#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "media/bounded_queue.h"
#include "media/encoder.h"
#include "media/low_layer.h"
#include "media/pacer.h"
#include "media/picture_outlet.h"
#include "media/session_types.h"

namespace driftless {

/// From generated chunks to encoded frames: one thread that waits for each frame's time, encodes it
/// then and hands it on. Frames are dropped before they are encoded, so that a drop costs one
/// picture and never breaks what the viewers' decoders build on. At most one chunk waits.
class OutputStage {
 public:
  static constexpr int kMaxFailuresInARow = 3;

  using FrameSink = std::function<void(OutgoingFrame)>;

  /// video: for chunks on a GPU; may be null where none come. sink and events are called from the
  /// stage's thread. Throws driftless::Error where FFmpeg lacks
  /// the codec.
  OutputStage(const SessionOptions& options, const ModelInfo& model, SessionCounters& counters,
              std::unique_ptr<VideoOps> video, FrameSink sink, EventSink events);
  ~OutputStage();

  /// The methods below are safe from any thread.
  /// A chunk that the model ends after its successors were blurred is dropped: it comes too late.
  void push(GeneratedChunk chunk);
  /// A finished picture, which leaves at once. It takes the place of generated frames that wait:
  /// they are older. compute_ms: what it cost, decoding left out.
  void push_picture(ComposedPicture picture, const FrameMeta& meta, uint64_t revision,
                    double compute_ms);
  /// Forgets the frames that wait and show the room.
  void drop_rooms();
  void set_bitrate(int64_t bits_per_second) { bitrate_bps_ = bits_per_second; }
  void request_key_frame() { key_frame_wanted_ = true; }
  /// In the lower layer alone.
  void request_low_key_frame() { low_key_frame_wanted_ = true; }
  size_t waiting() const;

  /// Ends the thread; frames that wait are forgotten. Safe to call again.
  void stop();

 private:
  struct Waiting {
    std::shared_ptr<const GeneratedChunk> chunk;
    size_t index = 0;                        // of the frame in the chunk
    std::optional<ComposedPicture> picture;  // in place of a frame of the chunk
  };

  void run();
  void encode_one(const Waiting& waiting);
  /// The picture in the lower layer; none where there is no such layer, or it lies in a GPU's
  /// memory.
  std::optional<EncodedPicture> encode_low(const AVFrame& picture, double capture_ms);
  /// A picture at the size that viewers get, and the encoder made ready for it.
  const AVFrame& prepare(const Waiting& waiting);
  /// Opens another encoder where the one at hand is not for such pictures.
  void fit_encoder(PictureSize size, bool whole_pictures, bool gpu_frames);
  void open_encoder(PictureSize size, bool whole_pictures, bool gpu_frames);
  void stay_with_processor();
  void fail(const std::string& message);

  const ModelInfo model_;
  SessionCounters& counters_;
  const FrameSink sink_;
  const EventSink events_;
  EncoderOptions encoder_options_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  BoundedQueue<Waiting> queue_;
  bool stopping_ = false;
  double blurred_until_ms_ = -1e18;  // monotonic: when the last blurred frame came in

  const double max_fps_;
  std::atomic<int64_t> bitrate_bps_;
  std::atomic<bool> key_frame_wanted_{false}, low_key_frame_wanted_{false};

  // Used by the thread only.
  std::unique_ptr<Encoder> encoder_;
  const std::unique_ptr<LowLayer> low_;  // may be null
  bool whole_pictures_ = false;          // the last one was
  bool encoded_room_ = false;  // the last picture showed it, and the next may build on that
  const std::unique_ptr<PictureOutlet> host_outlet_, device_outlet_;  // the latter may be null
  Pacer pacer_;
  int failures_in_a_row_ = 0;

  std::thread thread_;
};

}  // namespace driftless
