// How well a person is cut out, on a clip before a blue screen, whose colour is the ground truth.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "bench/clip_reader.h"
#include "bench/picture_file.h"
#include "core/error.h"
#include "core/json.h"
#include "media/compositor.h"
#include "media/ffmpeg_support.h"
#include "media/person_matte.h"

namespace driftless {
namespace {

// Blue chroma above neutral that makes a pixel screen; the screen has about 60, clothes below 20.
constexpr int kKeyBlue = 32;
// The scene the person is put before: far from everything in the clip.
constexpr int kScene[3] = {180, 60, 60};
// Share of the camera's picture in an output pixel from which it counts as leaked.
constexpr double kLeak = 0.1;

/// 1 where the chroma key says person, at chroma size; only the largest patch (props are none).
std::vector<uint8_t> key(const AVFrame& frame) {
  const int w = frame.width / 2, h = frame.height / 2;
  std::vector<uint8_t> person(static_cast<size_t>(w) * h);
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      const int blue = frame.data[1][y * frame.linesize[1] + x] - 128;
      person[static_cast<size_t>(y) * w + x] = blue < kKeyBlue;
    }
  }
  std::vector<int> label(person.size(), 0), stack;
  int best = 0, best_area = 0, labels = 0;
  for (int start = 0; start < w * h; ++start) {
    if (!person[start] || label[start]) continue;
    int area = 0;
    stack.assign(1, start);
    label[start] = ++labels;
    while (!stack.empty()) {
      const int at = stack.back();
      stack.pop_back();
      ++area;
      for (const int next : {at % w > 0 ? at - 1 : -1, at % w + 1 < w ? at + 1 : -1, at - w,
                             at + w < w * h ? at + w : -1}) {
        if (next < 0 || !person[next] || label[next]) continue;
        label[next] = labels;
        stack.push_back(next);
      }
    }
    if (area > best_area) {
      best_area = area;
      best = labels;
    }
  }
  for (size_t i = 0; i < person.size(); ++i) person[i] = label[i] == best;
  return person;
}

/// Whether all pixels within two of this one are background: the key's own rim is not sharp.
bool surely_background(const std::vector<uint8_t>& person, int w, int h, int x, int y) {
  for (int dy = -2; dy <= 2; ++dy) {
    for (int dx = -2; dx <= 2; ++dx) {
      const int at_x = std::clamp(x + dx, 0, w - 1), at_y = std::clamp(y + dy, 0, h - 1);
      if (person[static_cast<size_t>(at_y) * w + at_x]) return false;
    }
  }
  return true;
}

/// Share of the camera in an output pixel before the known scene, by least squares over Y, Cb, Cr.
double camera_share(const AVFrame& camera, const AVFrame& out, int x, int y) {
  double product = 0, square = 0;
  for (int plane = 0; plane < 3; ++plane) {
    const int scale = plane == 0 ? 2 : 1;
    const double c = camera.data[plane][scale * y * camera.linesize[plane] + scale * x];
    const double o = out.data[plane][scale * y * out.linesize[plane] + scale * x];
    product += (o - kScene[plane]) * (c - kScene[plane]);
    square += (c - kScene[plane]) * (c - kScene[plane]);
  }
  return square > 0 ? product / square : 0;
}

}  // namespace

int bench_matte(const Arguments& arguments) {
  const char* clips = std::getenv("DRIFTLESS_CLIPS");
  const std::string clip =
      arguments.text("--clip", std::string(clips ? clips : ".") + "/franck.mp4");
  const std::string network = arguments.text("--network", "auto");
  const auto loaded = load_matte_models(
      arguments.text("--segmenters", "node_modules/@mediapipe/selfie_segmentation"),
      arguments.text("--backend", "cpu"));
  auto models = std::make_shared<MatteModels>(*loaded);
  if (network == "landscape") models->general = models->landscape;
  if (network == "general") models->landscape = models->general;
  const int width = static_cast<int>(arguments.integer("--width", 0, 0, 4096)) / 2 * 2;
  const int height = static_cast<int>(arguments.integer("--height", 0, 0, 4096)) / 2 * 2;
  const double seconds = arguments.number("--seconds", 20, 0.1, 86400);
  const std::string pictures = arguments.text("--pictures", "");
  ClipReader reader(clip, width, height);
  PersonMatte matte(models);
  Compositor compositor;
  const AvFramePtr out = make_yuv_frame(reader.width(), reader.height());
  const int w = reader.width() / 2, h = reader.height() / 2;

  std::vector<double> overlaps, work_ms;
  int64_t background = 0, leaked = 0, background_first = 0, leaked_first = 0, frames = 0;
  double last_seconds = 0;
  for (AVFrame* camera; last_seconds < seconds && (camera = reader.next()); ++frames) {
    last_seconds = static_cast<double>(frames) / reader.fps();
    for (int plane = 0; plane < 3; ++plane) {
      const int lines = plane == 0 ? out->height : out->height / 2;
      std::fill_n(out->data[plane], static_cast<ptrdiff_t>(out->linesize[plane]) * lines,
                  static_cast<uint8_t>(kScene[plane]));
    }
    const double start = cpu_seconds();
    matte.update(*camera, last_seconds * 1000);
    compositor.compose(*camera, *out, matte.alpha(), matte.refiner(), matte.opacity(), *out);
    work_ms.push_back((cpu_seconds() - start) * 1e3);
    if (!pictures.empty() && frames % static_cast<int64_t>(reader.fps()) == 0) {
      write_picture(
          pictures + "-" + std::to_string(frames / static_cast<int64_t>(reader.fps())) + ".ppm",
          *out);
    }
    const std::vector<uint8_t> person = key(*camera);
    const bool first_second = last_seconds < 1;
    int64_t both = 0, either = 0;
    for (int y = 0; y < h; ++y) {
      for (int x = 0; x < w; ++x) {
        const uint8_t* alpha = matte.alpha() + static_cast<ptrdiff_t>(2 * y) * 2 * w + 2 * x;
        const int mean = (alpha[0] + alpha[1] + alpha[2 * w] + alpha[2 * w + 1]) / 4;
        const bool found = mean > 127, truth = person[static_cast<size_t>(y) * w + x] != 0;
        both += found && truth;
        either += found || truth;
        if (truth || !surely_background(person, w, h, x, y)) continue;
        const bool leak = camera_share(*camera, *out, x, y) > kLeak;
        (first_second ? background_first : background) += 1;
        (first_second ? leaked_first : leaked) += leak;
      }
    }
    if (!first_second) overlaps.push_back(static_cast<double>(both) / std::max<int64_t>(1, either));
  }
  if (overlaps.empty()) throw Error(clip, "more than a second of video", last_seconds);
  double mean = 0;
  for (const double overlap : overlaps) mean += overlap / static_cast<double>(overlaps.size());
  const auto share = [](int64_t part, int64_t all) {
    return all > 0 ? static_cast<double>(part) / static_cast<double>(all) : 0.0;
  };
  const double p50 = percentile(work_ms, 0.5), p95 = percentile(work_ms, 0.95);
  std::printf(
      "%s at %dx%d, %lld frames, network %dx%d\n"
      "IoU %.4f (worst frame %.4f), leaked %.3f %% of the background, %.3f %% in the first second, "
      "%.2f ms of processor time a frame (p95 %.2f)\n",
      clip.c_str(), reader.width(), reader.height(), static_cast<long long>(frames),
      matte.refiner().width(), matte.refiner().height(), mean, percentile(overlaps, 0),
      100 * share(leaked, background), 100 * share(leaked_first, background_first), p50, p95);
  if (arguments.flag("--json")) {
    const Json line = {{"iou", mean},
                       {"iouWorst", percentile(overlaps, 0)},
                       {"leakage", share(leaked, background)},
                       {"leakageFirstSecond", share(leaked_first, background_first)},
                       {"msPerFrameP50", p50},
                       {"msPerFrameP95", p95},
                       {"frames", frames},
                       {"width", reader.width()},
                       {"height", reader.height()}};
    std::printf("%s\n", line.dump().c_str());
  }
  return 0;
}

}  // namespace driftless
