// H.264 of a moving picture, encoded and decoded again, each by the processor or by a GPU.

#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "core/error.h"
#include "core/json.h"
#include "media/decoder.h"
#include "media/encoder.h"
#include "media/ffmpeg_support.h"

namespace driftless {
namespace {

constexpr double kFps = 30;

/// Colour waves that move by some pixels from frame to frame.
void draw(AVFrame& frame, int64_t number) {
  for (int plane = 0; plane < 3; ++plane) {
    const int scale = plane == 0 ? 1 : 2;
    const double shift = 3.0 * static_cast<double>(number) / scale;
    for (int y = 0; y < frame.height / scale; ++y) {
      uint8_t* row = frame.data[plane] + static_cast<ptrdiff_t>(y) * frame.linesize[plane];
      for (int x = 0; x < frame.width / scale; ++x) {
        const double wave =
            std::sin((x + shift) * 0.06 * scale) + std::sin((y - shift) * 0.04 * scale);
        row[x] = static_cast<uint8_t>(128 + 45 * wave);
      }
    }
  }
}

/// Mean of the squared differences of luma.
double square_error(const AVFrame& a, const AVFrame& b) {
  double sum = 0;
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      const double difference = a.data[0][y * a.linesize[0] + x] - b.data[0][y * b.linesize[0] + x];
      sum += difference * difference;
    }
  }
  return sum / (static_cast<double>(a.width) * a.height);
}

}  // namespace

int bench_encode(const Arguments& arguments) {
  using Clock = std::chrono::steady_clock;
  EncoderOptions options;
  options.codec = VideoCodec::kH264;
  options.width = static_cast<int>(arguments.integer("--width", 1280, 16, 4096)) / 2 * 2;
  options.height = static_cast<int>(arguments.integer("--height", 720, 16, 2304)) / 2 * 2;
  options.fps = kFps;
  options.bitrate_bps = arguments.integer("--kbps", 2500, 30, 100'000) * 1000;
  options.gpu = static_cast<int>(arguments.integer("--gpu", -1, -1, 63));
  const int64_t frames = arguments.integer("--frames", 120, 1, 100'000);
  Encoder encoder(options);
  const int decoder_gpu = static_cast<int>(arguments.integer("--decoder-gpu", -1, -1, 63));
  Decoder decoder(VideoCodec::kH264, {}, decoder_gpu);
  const AvFramePtr frame = make_yuv_frame(options.width, options.height);

  std::vector<double> wall_ms, decode_ms;
  double processor_s = 0, error = 0, bytes = 0;
  int64_t decoded = 0;
  for (int64_t i = 0; i < frames; ++i) {
    draw(*frame, i);
    const double processor_start = cpu_seconds();
    const auto start = Clock::now();
    const EncodedPicture picture = encoder.encode(*frame, static_cast<double>(i) * 1000 / kFps);
    wall_ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    processor_s += cpu_seconds() - processor_start;
    bytes += static_cast<double>(picture.data.size());
    const auto decode_start = Clock::now();
    const DecodeResult result = decoder.decode(picture.data.data(), picture.data.size());
    decode_ms.push_back(
        std::chrono::duration<double, std::milli>(Clock::now() - decode_start).count());
    if (result.status != DecodeStatus::kFrame) continue;
    ++decoded;
    error += square_error(*frame, *result.frame);
  }
  const double mean_error = error / static_cast<double>(std::max<int64_t>(1, decoded));
  const double psnr_db = 10 * std::log10(255.0 * 255.0 / std::max(mean_error, 1e-3));
  const double processor_ms = processor_s * 1000 / static_cast<double>(frames);
  const double kbps = bytes * 8 * kFps / static_cast<double>(frames) / 1000;
  const bool ok = decoded == frames && psnr_db > 25;
  std::printf(
      "%s at %dx%d: %.2f ms a frame (p95 %.2f), %.2f of the processor, %.0f kb/s, %lld of %lld "
      "frames decoded in %.2f ms, %.1f dB%s%s%s%s%s%s\n",
      encoder.name(), options.width, options.height, percentile(wall_ms, 0.5),
      percentile(wall_ms, 0.95), processor_ms, kbps, static_cast<long long>(decoded),
      static_cast<long long>(frames), percentile(decode_ms, 0.5), psnr_db,
      encoder.refusal().empty() ? "" : " (GPU: ", encoder.refusal().c_str(),
      encoder.refusal().empty() ? "" : ")",
      decoder.refusal().empty() ? "" : " (decoding: ", decoder.refusal().c_str(),
      decoder.refusal().empty() ? "" : ")");
  if (arguments.flag("--json")) {
    const Json line = {
        {"ok", ok},
        {"encoder", encoder.name()},
        {"refusal", encoder.refusal()},
        {"decoder", decoder_gpu >= 0 && decoder.refusal().empty() ? "nvdec" : "software"},
        {"decoderRefusal", decoder.refusal()},
        {"decodeMsPerFrameP50", percentile(decode_ms, 0.5)},
        {"msPerFrameP50", percentile(wall_ms, 0.5)},
        {"msPerFrameP95", percentile(wall_ms, 0.95)},
        {"processorMsPerFrame", processor_ms},
        {"kbps", kbps},
        {"psnrDb", psnr_db}};
    std::printf("%s\n", line.dump().c_str());
  }
  return ok ? 0 : 1;
}

}  // namespace driftless
