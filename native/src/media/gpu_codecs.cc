#include "media/gpu_codecs.h"

#include <algorithm>

#include "core/error.h"
#include "media/decoder.h"
#include "media/encoder.h"
#include "media/ffmpeg_support.h"

namespace driftless {
namespace {

// Above what decoders of GPUs take at least.
constexpr int kProbeWidth = 256, kProbeHeight = 144;

EncoderOptions probe_options(VideoCodec codec, int gpu) {
  EncoderOptions options;
  options.codec = codec;
  options.width = kProbeWidth;
  options.height = kProbeHeight;
  options.gpu = gpu;
  return options;
}

}  // namespace

std::string describe_encoder(int gpu) {
  if (gpu < 0) return "libx264";
  try {
    const Encoder encoder(probe_options(VideoCodec::kH264, gpu));
    const std::string name = encoder.name();
    return encoder.refusal().empty() ? name : name + ": " + encoder.refusal();
  } catch (const Error& error) {
    return error.what();  // Sessions with VP8 need neither.
  }
}

std::string describe_decoder(int gpu) {
  if (gpu < 0) return "software";
  try {
    const AvFramePtr grey = make_yuv_frame(kProbeWidth, kProbeHeight);
    for (int plane = 0; plane < 3; ++plane) {
      const int rows = plane == 0 ? kProbeHeight : kProbeHeight / 2;
      std::fill_n(grey->data[plane], static_cast<ptrdiff_t>(grey->linesize[plane]) * rows,
                  uint8_t{128});
    }
    const EncodedPicture picture = Encoder(probe_options(VideoCodec::kVp8, -1)).encode(*grey, 0);
    Decoder decoder(VideoCodec::kVp8, {}, gpu);
    const DecodeResult result = decoder.decode(picture.data.data(), picture.data.size());
    if (!decoder.refusal().empty()) return "software: " + decoder.refusal();
    return result.status == DecodeStatus::kFrame ? "nvdec" : "software: " + result.message;
  } catch (const Error& error) {
    return std::string("software: ") + error.what();
  }
}

}  // namespace driftless
