// The way of pictures between codecs and model, by the processor and where the backend has one of
// its own: what each takes, and whether viewers get the same.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "bench/moving_waves.h"
#include "core/json.h"
#include "media/background_canvas.h"
#include "media/ffmpeg_support.h"
#include "media/picture_intake.h"
#include "media/picture_outlet.h"
#include "ops/ops.h"

namespace driftless {
namespace {

std::shared_ptr<AVFrame> moving_waves(int width, int height, int64_t number) {
  std::shared_ptr<AVFrame> frame(make_yuv_frame(width, height).release(), AvFrameDeleter());
  draw_waves(*frame, number);
  return frame;
}

/// Milliseconds of a frame, and of the processor in them.
struct Cost {
  std::vector<double> wall_ms;
  double processor_s = 0;

  template <typename Work>
  void add(const Work& work) {
    const double processor = cpu_seconds(), start = seconds_now();
    work();
    wall_ms.push_back((seconds_now() - start) * 1e3);
    processor_s += cpu_seconds() - processor;
  }
  double processor_ms() const { return processor_s * 1e3 / static_cast<double>(wall_ms.size()); }
};

/// All that is done to pictures in one place.
class Way {
 public:
  Way(const char* name, const Ops& ops, const ModelInfo& model,
      std::shared_ptr<const MatteModels> mattes)
      : name_(name),
        model_(model),
        intake_(PictureIntake::make(ops.video(), model)),
        outlet_(PictureOutlet::make(ops.video(), model)),
        canvas_(BackgroundCanvas::make(std::move(mattes), ops.video())) {}

  /// A restyled picture of one that the model leaves as it is.
  AvFramePtr restyle(const std::shared_ptr<const AVFrame>& camera) {
    GeneratedChunk chunk;
    chunk.frames.resize(1);
    in.add([&] { intake_->take(camera, 0, chunk, chunk.frames[0]); });
    const AVFrame* shown = nullptr;
    out.add([&] { shown = &outlet_->picture(chunk, 0, nullptr); });
    return copy(*shown);
  }

  AvFramePtr compose(const AVFrame& camera, const AVFrame& scene, double time_ms) {
    const AVFrame* shown = nullptr;
    ComposedPicture picture;
    background.add([&] {
      canvas_->take(camera);
      canvas_->cut(time_ms);
      picture =
          canvas_->compose(scene, {0, 0, scene.width, scene.height}, canvas_->person().opacity());
      shown = &outlet_->whole(picture, nullptr);
    });
    return copy(*shown);
  }

  Json json() const {
    const auto part = [](const Cost& cost) {
      return Json{{"msPerFrameP50", percentile(cost.wall_ms, 0.5)},
                  {"processorMsPerFrame", cost.processor_ms()}};
    };
    return {{"in", part(in)}, {"out", part(out)}, {"background", part(background)}};
  }
  void print() const {
    std::printf("%-6s", name_);
    for (const auto& [what, cost] :
         {std::pair{"in", &in}, {"out", &out}, {"background", &background}}) {
      std::printf("  %s %.2f ms (%.2f of the processor)", what, percentile(cost->wall_ms, 0.5),
                  cost->processor_ms());
    }
    std::printf("\n");
  }

  Cost in, out, background;

 private:
  static AvFramePtr copy(const AVFrame& frame) {
    AvFramePtr own = make_frame();
    av_frame_ref(own.get(), &frame);
    return own;
  }

  const char* name_;
  const ModelInfo model_;
  const std::unique_ptr<PictureIntake> intake_;
  const std::unique_ptr<PictureOutlet> outlet_;
  const std::unique_ptr<BackgroundCanvas> canvas_;
};

}  // namespace

int bench_pictures(const Arguments& arguments) {
  const int width = static_cast<int>(arguments.integer("--width", 640, 16, 4096));
  const int height = static_cast<int>(arguments.integer("--height", 360, 16, 2304));
  ModelInfo model;
  model.width = static_cast<int>(arguments.integer("--model-width", 256, 16, 4096)) / 2 * 2;
  model.height = static_cast<int>(arguments.integer("--model-height", 144, 16, 2304)) / 2 * 2;
  model.frames_per_chunk = 1;
  const int64_t frames = arguments.integer("--frames", 100, 2, 100'000);
  const auto mattes = load_matte_models(
      arguments.text("--segmenters", "node_modules/@mediapipe/selfie_segmentation"), "cpu");
  const auto host_ops = make_ops("reference");
  const auto ops = make_ops(choose_backend(arguments.text("--backend", "auto")));
  const bool two_ways = ops->video() != nullptr;
  Way host("host", *host_ops, model, mattes), device(ops->name(), *ops, model, mattes);
  const auto scene = moving_waves(model.width, model.height, 50);

  double worst_db = 99;
  for (int64_t i = 0; i < frames; ++i) {
    const auto camera = moving_waves(width, height, i);
    const double time_ms = 1000 + 33.3 * static_cast<double>(i);
    const AvFramePtr restyled = host.restyle(camera),
                     composed = host.compose(*camera, *scene, time_ms);
    if (!two_ways) continue;
    const AvFramePtr restyled_there = device.restyle(camera),
                     composed_there = device.compose(*camera, *scene, time_ms);
    worst_db = std::min({worst_db, luma_psnr_db(*restyled, *restyled_there),
                         luma_psnr_db(*composed, *composed_there)});
  }
  const bool ok = worst_db > 32;
  std::printf("pictures of %dx%d for a model of %dx%d, to the host's memory and from it\n", width,
              height, model.width, model.height);
  host.print();
  if (two_ways) device.print();
  if (two_ways) std::printf("alike to %.1f dB at least%s\n", worst_db, ok ? "" : ": TOO MUCH");
  if (arguments.flag("--json")) {
    Json line = {{"ok", ok}, {"host", host.json()}};
    if (two_ways) {
      line["device"] = device.json();
      line["leastPsnrDb"] = worst_db;
      line["inMsPerFrame"] = percentile(device.in.wall_ms, 0.5);
      line["outMsPerFrame"] = percentile(device.out.wall_ms, 0.5);
      line["backgroundMsPerFrame"] = percentile(device.background.wall_ms, 0.5);
    }
    std::printf("%s\n", line.dump().c_str());
  }
  return ok ? 0 : 1;
}

}  // namespace driftless
