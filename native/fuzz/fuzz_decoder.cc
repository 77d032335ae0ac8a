// Encoded frames as they come out of the depacketiser: the decoder answers every one, and shows
// only pictures inside its limits, never one before a key frame.
//
// Input: a byte that picks the codec, then frames, each with its length in two bytes.

#include <cstdlib>

#include "media/decoder.h"

extern "C" {
#include <libavutil/frame.h>
#include <libavutil/log.h>
}

using namespace driftless;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  ::av_log_set_level(AV_LOG_QUIET);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  SizeLimits limits;
  limits.max_width = limits.max_height = 256;
  constexpr VideoCodec kCodecs[] = {VideoCodec::kVp8, VideoCodec::kH264, VideoCodec::kVp9,
                                    VideoCodec::kAv1};
  Decoder decoder(kCodecs[data[0] % 4], limits);
  size_t at = 1;
  for (int frames = 0; at + 2 <= size && frames < 12; ++frames) {
    const size_t length = std::min<size_t>(data[at] | data[at + 1] << 8, size - at - 2);
    at += 2;
    const bool waited = decoder.waiting_for_key_frame();
    const uint64_t errors = decoder.errors();
    const DecodeResult result = decoder.decode(data + at, length);
    at += length;
    if ((result.status == DecodeStatus::kFrame) != (result.frame != nullptr)) std::abort();
    if (result.frame != nullptr) {
      if (result.frame->width < limits.min_width || result.frame->width > limits.max_width ||
          result.frame->height < limits.min_height || result.frame->height > limits.max_height) {
        std::abort();
      }
    }
    const bool failed =
        result.status == DecodeStatus::kError || result.status == DecodeStatus::kBadSize;
    if (failed && (!decoder.waiting_for_key_frame() || result.message.empty())) std::abort();
    if (result.status == DecodeStatus::kNeedKeyFrame && !waited) std::abort();
    if (decoder.errors() != errors + (result.status == DecodeStatus::kError ? 1 : 0)) std::abort();
  }
  return 0;
}
