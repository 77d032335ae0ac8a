#pragma once

// The words that a session's stages, its owner and the addon share.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "media/chunk_pixels.h"
#include "media/decoder.h"
#include "media/gpu_codecs.h"
#include "media/picture.h"
#include "media/scene.h"
#include "media/video_codec.h"
#include "stream/degradation.h"
#include "stream/picture_size.h"
#include "stream/pipeline.h"

namespace driftless {

/// Milliseconds of the monotonic clock that all stages share.
inline double steady_now_ms() {
  using std::chrono::duration;
  return duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// kRestyle repaints the whole picture. kBackground keeps the person, at the camera's own size and
/// rate, and replaces what is behind. kPassthrough decodes, scales and encodes but leaves out the
/// model.
enum class TransformMode { kRestyle, kBackground, kPassthrough };

struct FlatColour {
  uint8_t red = 0, green = 0, blue = 0;
};

/// What is put behind a person who is cut out: the first of blur, colour and scene that is chosen.
struct BackgroundChoice {
  /// Where kRestyle hides the room and nothing is chosen: it tells nothing of any room.
  static constexpr FlatColour kPlain = {0x5b, 0x6b, 0x7b};

  std::optional<SceneKind> scene;    // none: in kBackground chosen by the prompt's words
  bool blur = false;                 // the real room, blurred until nothing in it can be read
  std::optional<FlatColour> colour;  // the same everywhere
  bool repaint = true;  // kBackground: scenes go through the model; false: as they are drawn
};

/// What viewers of kRestyle get while the device is too busy to make new pictures at all.
enum class OverloadPicture { kHold, kBlur };

struct Transform {
  TransformMode mode = TransformMode::kRestyle;
  TransformSettings settings;
  BackgroundChoice background;
  /// kRestyle: the person is cut out first, and the model gets her before `background`. Whatever is
  /// made of the camera's picture is made of that.
  bool hide_room = false;
  OverloadPicture on_overload = OverloadPicture::kHold;

  /// Whether no pixel of the room may be seen.
  bool hides_room() const { return mode == TransformMode::kBackground || hide_room; }
};

/// What pictures were made of. Only those of kCamera show the room.
enum class PictureSource : uint8_t {
  kCamera,  // the camera's picture as it is
  kCutOut,  // the camera's person before something else
  kScene,   // no camera: a background alone
};

struct SessionOptions {
  std::string id;
  VideoCodec input_codec = VideoCodec::kVp8;
  VideoCodec output_codec = VideoCodec::kVp8;
  int64_t bitrate_bps = 600'000;
  int64_t low_layer_bitrate_bps = 0;  // of a second, smaller encoding of the pictures; 0: none
  double max_fps = 0;  // frames a second that go to the model; 0 or above the model's: the model's
  double delay_budget_ms = 250;  // from a chunk being complete to its frames being generated
  SizeLimits size_limits;
  GpuCodecs gpu;
  Transform transform;
};

/// A camera frame's luma in a GPU's memory, without gaps.
struct CameraGuide {
  std::shared_ptr<uint8_t> luma;
  PictureSize size;
};

/// What belongs to one frame on its way from the camera to the encoder.
struct FrameMeta {
  double capture_ms = 0;                  // Unix epoch
  double pushed_ms = 0;                   // monotonic: when the encoded frame came in
  double decode_ms = 0;                   // duration
  std::shared_ptr<const AVFrame> camera;  // the frame itself, for its contours,
  CameraGuide guide;                      //   or what there is of it on a GPU; both may be absent
  PictureSize output;                     // that viewers get; unknown: what the model makes
};

/// The frames that go into the model together. A drawn scene's has no `frames`: it was made from no
/// camera frame.
struct Chunk : ChunkPixels {
  PictureSource source = PictureSource::kCamera;
  std::vector<FrameMeta> frames;  // in order of capture
  bool blur_if_refused = false;   // see OverloadPicture
  uint64_t revision = 0;          // of the settings that it was gathered under
};

/// The frames that came out together. `frames` names the input frames they were made from.
struct GeneratedChunk : ChunkPixels {
  PictureSource source = PictureSource::kCamera;
  bool blurred = false;  // not by the model, which was too busy: see OverloadPicture
  std::vector<FrameMeta> frames;
  uint64_t revision = 0;  // of the settings they were made with
  bool complete = true;   // false while those settings are still coming in
  double ready_ms = 0;    // monotonic
  double compute_ms = 0;  // duration
};

/// Where a frame's time went; the sum is its time inside the engine.
struct FrameTiming {
  double queued_ms = 0;  // all waiting: chunk to fill, compute thread, pacing
  double decode_ms = 0;
  double compute_ms = 0;
  double encode_ms = 0;
};

struct OutgoingFrame {
  EncodedPicture picture;
  std::optional<EncodedPicture> low;  // the same picture in the lower layer, where there is one
  FrameTiming timing;
  uint64_t revision = 0;  // as in GeneratedChunk
  bool complete = true;
  bool shows_room = true;
  bool blurred = false;
};

struct SessionEvent {
  enum class Type { kNeedKeyFrame, kApplied, kInputSize, kLevel, kError, kDeviceLost };
  Type type = Type::kError;
  std::string text;           // kNeedKeyFrame: the reason; kError, kDeviceLost: the message
  bool fatal = false;         // kError: the session makes no more frames
  uint64_t revision = 0;      // kApplied
  double capture_ms = 0;      // kApplied: of the first frame that shows any of the settings,
  bool complete = true;       //   or, in a second event where a prompt came in slowly, all of them
  int width = 0, height = 0;  // kInputSize: of the camera's pictures, of what is painted of them,
  PictureSize painted, output;  //   and of what viewers get
  LevelChange level;            // kLevel; its session number means nothing here
};

inline SessionEvent device_lost_event(const std::string& text) {
  SessionEvent event;
  event.type = SessionEvent::Type::kDeviceLost;
  event.text = text;
  return event;
}

/// Frames a second that a session promises its viewers, of at most `most`.
inline double promised_fps(const SessionOptions& options, double most) {
  return options.max_fps > 0 ? std::min(options.max_fps, most) : most;
}

/// Receives events from any thread of a session.
using EventSink = std::function<void(SessionEvent)>;

/// A duration that one thread writes and any thread reads.
class StageTimer {
 public:
  void add(double ms) {
    last_.store(ms, std::memory_order_relaxed);
    const double mean = mean_.load(std::memory_order_relaxed);
    mean_.store(mean == 0 ? ms : mean + 0.05 * (ms - mean), std::memory_order_relaxed);
  }
  double last_ms() const { return last_.load(std::memory_order_relaxed); }
  double mean_ms() const {
    return mean_.load(std::memory_order_relaxed);
  }  // moving, about 20 values

 private:
  std::atomic<double> last_{0}, mean_{0};
};

/// Counts since the session began. Every frame that does not come out is in one of the drops.
struct SessionCounters {
  using Count = std::atomic<uint64_t>;
  Count frames_in{0}, bytes_in{0};
  Count frames_decoded{0}, frames_sampled{0};
  Count chunks{0};                                       // given to the model
  Count frames_out{0}, key_frames_out{0}, bytes_out{0};  // handed to the owner
  Count frames_blurred{0};                               // of frames_out: by OverloadPicture::kBlur
  Count decode_errors{0}, compute_errors{0}, encode_errors{0};
  // By a GPU that was asked to encode or decode: the processor does.
  Count encoder_refusals{0}, decoder_refusals{0};
  // Chunks that the model ran, by whether they kept the delay budget, and those it never ran.
  Count chunks_in_time{0};
  Count chunks_waited{0};    // late: they were not begun early enough
  Count chunks_slow{0};      // late: they took longer than expected
  Count chunks_replaced{0};  // a newer chunk took the place
  // What the drift guards did: chunks whose latents or pictures they pulled back, and sinks that
  // they had renewed because that went on.
  Count guard_latents{0}, guard_pictures{0}, guard_renewals{0};
  // Drops, in frames.
  Count drop_input_full{0};      // the decoder did not keep up
  Count drop_no_key_frame{0};    // came while a key frame was missing
  Count drop_bad_size{0};        // pictures outside the size limits
  Count drop_above_rate{0};      // not needed: the camera is faster than the model
  Count drop_chunk_replaced{0};  // the model did not keep up: a newer chunk took the place
  Count drop_fallback{0};        // the device is too busy to make new frames at all
  // In the model's pipeline, after it, or in a chunk, when settings, mode or the camera's shape
  // changed.
  Count drop_stream_batch{0};
  Count drop_compute_error{0};
  Count drop_generated_full{0};  // the encoder or the pacer did not keep up
  Count drop_encode_error{0};
  Count drop_callback_full{0};    // the owner did not keep up
  Count drop_await_key_frame{0};  // undecodable without the ones dropped before
  Count drop_events{0};           // events, not frames: the owner did not keep up
  StageTimer decode;
  // Of the frames that came out, as in FrameTiming: in background mode `compute` is what their
  // composing took, and not the repainting of the scene behind. Written by the output stage.
  StageTimer queue, compute, encode, total;
  StageTimer batch, expected;  // the model's batches with this session, measured and as expected
};

}  // namespace driftless
