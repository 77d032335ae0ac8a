#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "media/picture.h"
#include "media/video_codec.h"

namespace driftless {

/// Which pictures a decoder takes. A picture outside is refused before memory is spent on it.
struct SizeLimits {
  int min_width = 16, min_height = 16;
  int max_width = 4096, max_height = 2304;
};

enum class DecodeStatus {
  kFrame,         // a picture came out
  kNoFrame,       // the input was good but shows nothing (VP8 alternate reference frames)
  kNeedKeyFrame,  // nothing was decoded: a key frame must come first
  kBadSize,       // the picture is smaller or larger than the limits; a key frame must come next
  kError,         // broken data; a key frame must come next
};

struct DecodeResult {
  DecodeStatus status = DecodeStatus::kNoFrame;
  AvFramePtr frame;     // set with kFrame
  std::string message;  // set with kBadSize and kError: what was expected and what came
};

/// Decodes one stream, one encoded frame at a time, without delay: a picture comes out with the
/// input that carries it, in the host's memory. Broken input never throws; after it, everything up
/// to the next key frame is refused, because pictures predicted from a damaged one would feed
/// damage to the model. Not thread-safe.
class Decoder {
 public:
  /// A GPU whose inputs fail so often one after the other, each a key frame, is given up.
  static constexpr int kMaxGpuErrorsInARow = 3;

  /// gpu: whose decoder is tried first (NVDEC; VP8 and H.264); -1: none. Throws driftless::Error
  /// when FFmpeg was built without the codec.
  explicit Decoder(VideoCodec codec, const SizeLimits& limits = {}, int gpu = -1);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// Whether pictures that the GPU decodes stay in its memory (AV_PIX_FMT_CUDA, NV12, see
  /// await_gpu()): at first they are brought to the host's, as 4:2:0 planes. The GPU has few such
  /// pictures; whoever gets one gives it back soon.
  void leave_on_gpu(bool leave);

  /// data: one whole frame (VP8), one access unit in Annex B form (H.264), a frame or a superframe
  /// of all spatial layers (VP9), or a temporal unit in the low-overhead format, with or without
  /// its delimiter (AV1). Of several layers the last is shown.
  DecodeResult decode(const uint8_t* data, size_t size);

  /// Refuses everything until the next key frame: to be called when frames were lost before they
  /// got here.
  void require_key_frame();

  bool waiting_for_key_frame() const;
  uint64_t errors() const;  // inputs that were answered with kError
  /// Why a GPU that was asked for does not decode: it has no decoder, does not take the stream's
  /// size or profile, or failed. Empty where it does, or none was asked for.
  const std::string& refusal() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driftless
