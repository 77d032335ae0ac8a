#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "bench/looped_clip.h"
#include "core/error.h"
#include "core/json.h"

namespace driftless {

int bench_agree(const Arguments& arguments) {
  ModelOptions options;
  options.dir = find_model(arguments.text("--model", "drift-nano"));
  options.backend = arguments.text("--against", "cpu");
  options.dtype = "f32";
  const auto expected = Pipeline::load(options);
  options.backend = arguments.text("--backend", "cuda");
  options.dtype = arguments.text("--dtype", "auto");
  const auto pipeline = Pipeline::load(options);
  const int chunks = static_cast<int>(arguments.integer("--chunks", 16, 1, 100000));
  const double most = arguments.number("--most", 1, 0, 255);
  TransformSettings settings;
  settings.prompt = arguments.text("--prompt", "watercolour painting on paper");
  settings.strength = 1;
  settings.steps = static_cast<int>(arguments.integer("--steps", 1, 1, 64));
  const auto a = expected->open(settings), b = pipeline->open(settings);
  const auto clip = draw_looped_clip(pipeline->info(), chunks);
  std::vector<uint8_t> x(clip.front().size()), y(x.size());
  double worst_mean = 0, squares = 0;
  int worst = 0, shown = 0;
  for (const std::vector<uint8_t>& in : clip) {
    Pipeline::Job first{a.get(), in.data(), x.data(), {}}, second{b.get(), in.data(), y.data(), {}};
    expected->run(&first, 1);
    pipeline->run(&second, 1);
    DL_CHECK_EQ("whether a chunk gives frames", first.result.has_frames, second.result.has_frames);
    if (!first.result.has_frames) continue;
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const int difference = std::abs(int{x[i]} - int{y[i]});
      worst = std::max(worst, difference);
      sum += difference;
      squares += static_cast<double>(difference) * difference;
    }
    worst_mean = std::max(worst_mean, sum / static_cast<double>(x.size()));
    ++shown;
  }
  DL_CHECK(shown > 0, "--chunks", "more than the steps take to fill", chunks);
  const double mse = squares / (static_cast<double>(x.size()) * shown);
  const double psnr = mse == 0 ? 99 : 10 * std::log10(255 * 255 / mse);
  const bool ok = worst_mean <= most;
  std::printf(
      "%s, %d chunks on %s (%s) against %s: PSNR %.1f dB, worst chunk's mean difference "
      "%.4f (at most %g), largest %d of 255: %s\n",
      pipeline->info().name.c_str(), shown, options.backend.c_str(), options.dtype.c_str(),
      arguments.text("--against", "cpu").c_str(), psnr, worst_mean, most, worst,
      ok ? "ok" : "FAILED");
  if (arguments.flag("--json")) {
    const Json line = {{"ok", ok},
                       {"psnrDb", psnr},
                       {"meanDifference", worst_mean},
                       {"most", most},
                       {"largest", worst},
                       {"chunks", shown},
                       {"backend", options.backend},
                       {"dtype", options.dtype}};
    std::printf("%s\n", line.dump().c_str());
  }
  return ok ? 0 : 1;
}

}  // namespace driftless
