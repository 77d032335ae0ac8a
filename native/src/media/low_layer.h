#pragma once

#include <cstdint>
#include <memory>

#include "media/encoder.h"
#include "media/picture.h"
#include "media/video_codec.h"

namespace driftless {

/// A second encoding of the pictures that leave a session: at a half or a quarter of their width
/// and height where they are large, and at a small rate. It is the lower layer of the generated
/// track, for viewers with little bandwidth and for small tiles; the model works once for both. Not
/// thread-safe.
class LowLayer {
 public:
  /// Of its pictures; larger ones are halved until they fit.
  static constexpr int kMostLongSide = 480;

  /// Throws driftless::Error where FFmpeg lacks the codec.
  LowLayer(VideoCodec codec, int64_t bitrate_bps);
  ~LowLayer();
  LowLayer(const LowLayer&) = delete;
  LowLayer& operator=(const LowLayer&) = delete;

  /// The next picture becomes a key frame.
  void request_key_frame() { key_frame_wanted_ = true; }

  /// picture: 4:2:0 planes in the host's memory; its size may change from call to call, with a key
  /// frame. fps: what the rate control plans with. Throws driftless::Error for another format.
  EncodedPicture encode(const AVFrame& picture, double fps, double capture_time_ms);

 private:
  const AVFrame& shrunk(const AVFrame& picture);

  EncoderOptions options_;
  std::unique_ptr<Encoder> encoder_;
  struct Buffer;
  std::unique_ptr<Buffer> buffer_;
  bool key_frame_wanted_ = false;
};

}  // namespace driftless
