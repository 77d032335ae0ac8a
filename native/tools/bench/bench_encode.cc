// H.264 of a moving picture, encoded and decoded again, each by the processor or by a GPU.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "bench/moving_waves.h"
#include "core/error.h"
#include "core/json.h"
#include "media/decoder.h"
#include "media/encoder.h"
#include "media/ffmpeg_support.h"

namespace driftless {
namespace {

constexpr double kFps = 30;

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
  double processor_s = 0, bytes = 0, least_db = 99;
  int64_t decoded = 0;
  for (int64_t i = 0; i < frames; ++i) {
    draw_waves(*frame, i);
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
    least_db = std::min(least_db, luma_psnr_db(*frame, *result.frame));
  }
  const double processor_ms = processor_s * 1000 / static_cast<double>(frames);
  const double kbps = bytes * 8 * kFps / static_cast<double>(frames) / 1000;
  const bool ok = decoded == frames && least_db > 22;
  std::printf(
      "%s at %dx%d: %.2f ms a frame (p95 %.2f), %.2f of the processor, %.0f kb/s, %lld of %lld "
      "frames decoded in %.2f ms, %.1f dB at least%s%s%s%s%s%s\n",
      encoder.name(), options.width, options.height, percentile(wall_ms, 0.5),
      percentile(wall_ms, 0.95), processor_ms, kbps, static_cast<long long>(decoded),
      static_cast<long long>(frames), percentile(decode_ms, 0.5), least_db,
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
        {"leastPsnrDb", least_db}};
    std::printf("%s\n", line.dump().c_str());
  }
  return ok ? 0 : 1;
}

}  // namespace driftless
