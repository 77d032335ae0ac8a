#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "media/picture.h"
#include "media/video_codec.h"

struct AVBufferRef;

namespace driftless {

struct EncoderOptions {
  VideoCodec codec = VideoCodec::kVp8;
  int width = 0, height = 0;      // pixels, at least 2x2
  double fps = 30;                // what the rate control plans with; frames may come more rarely
  int64_t bitrate_bps = 600'000;  // target; clamped to Encoder::kMinBitrateBps and up
  // A key frame at the latest after so many frames. Viewers who need one ask for it, so the
  // default is long: each costs several times an ordinary frame.
  int max_key_interval_frames = 3000;
  // The GPU whose encoder is tried first, for H.264; -1: none.
  int gpu = -1;
  // Where that one encodes, frames come in its memory: those of Encoder::gpu_frames().
  bool gpu_frames = false;
};

/// Encodes one stream for live sending: no look-ahead, one frame in, one frame out.
/// VP8 (libvpx realtime) or H.264 (x264 ultrafast, zero latency, constrained baseline, Annex B with
/// parameter sets before each key frame; or the same by NVENC). Not thread-safe.
class Encoder {
 public:
  static constexpr int64_t kMinBitrateBps = 30'000;
  // libvpx cannot change its rate through FFmpeg, so the VP8 encoder is opened again, and NVENC is
  // reset by FFmpeg: both cost a key frame. Smaller changes than this wait for the next one.
  static constexpr double kKeyFrameRatio = 1.2;

  /// Throws driftless::Error when an option is out of range or FFmpeg was built without the codec.
  explicit Encoder(const EncoderOptions& options);
  ~Encoder();
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  /// The next frame becomes a key frame (IDR for H.264).
  void request_key_frame();

  /// Changes the target from the next frame on (see kKeyFrameRatio).
  void set_bitrate(int64_t bits_per_second);

  /// FFmpeg's frames of NV12 of the options' size in a GPU's memory, which encode() takes; null
  /// where it takes 4:2:0 planes in the host's.
  AVBufferRef* gpu_frames() const;

  /// frame: of the options' size, as gpu_frames() says. capture_time_ms should rise; where it does
  /// not, the rate control sees a step of one frame and the picture keeps its true capture time.
  /// Throws driftless::Error when the frame has another size or the codec fails.
  EncodedPicture encode(const AVFrame& frame, double capture_time_ms);

  uint64_t reopened() const;  // how often a new target needed a new encoder
  const char* name() const;   // FFmpeg's: libvpx, libx264, h264_nvenc
  /// Why a GPU that was asked for does not encode: it has no encoder (H100, A100), no session left,
  /// no driver. Empty where it does, or none was asked for.
  const std::string& refusal() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driftless
