#include "bench/restyle_quality.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "bench/arguments.h"
#include "core/error.h"

namespace driftless {

namespace {

using Pixels = std::vector<uint8_t>;
using Plane = std::vector<float>;

constexpr double kFrozenSeconds = 3;

struct Size {
  int width, height;
  size_t pixels() const { return static_cast<size_t>(width) * static_cast<size_t>(height); }
};

Plane grey_of(const uint8_t* rgb, const Size& size) {
  Plane grey(size.pixels());
  for (size_t i = 0; i < grey.size(); ++i) {
    grey[i] = 0.299f * rgb[3 * i] + 0.587f * rgb[3 * i + 1] + 0.114f * rgb[3 * i + 2];
  }
  return grey;
}

// One pass of the binomial filter 1 4 6 4 1 along rows (step 1) or columns (step width).
Plane soften(const Plane& in, const Size& size, bool rows) {
  static constexpr float kWeights[5] = {1 / 16.f, 4 / 16.f, 6 / 16.f, 4 / 16.f, 1 / 16.f};
  Plane out(in.size());
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      float sum = 0;
      for (int k = -2; k <= 2; ++k) {
        const int at_x = rows ? std::clamp(x + k, 0, size.width - 1) : x;
        const int at_y = rows ? y : std::clamp(y + k, 0, size.height - 1);
        sum += kWeights[k + 2] * in[static_cast<size_t>(at_y) * size.width + at_x];
      }
      out[static_cast<size_t>(y) * size.width + x] = sum;
    }
  }
  return out;
}

// Magnitude of Sobel's gradient of the softened brightness; nothing at the border.
Plane gradient_of(const uint8_t* rgb, const Size& size) {
  const Plane soft = soften(soften(grey_of(rgb, size), size, true), size, false);
  Plane gradient(soft.size());
  const auto at = [&](int y, int x) { return soft[static_cast<size_t>(y) * size.width + x]; };
  for (int y = 1; y + 1 < size.height; ++y) {
    for (int x = 1; x + 1 < size.width; ++x) {
      const float gx = at(y - 1, x + 1) + 2 * at(y, x + 1) + at(y + 1, x + 1) - at(y - 1, x - 1) -
                       2 * at(y, x - 1) - at(y + 1, x - 1);
      const float gy = at(y + 1, x - 1) + 2 * at(y + 1, x) + at(y + 1, x + 1) - at(y - 1, x - 1) -
                       2 * at(y - 1, x) - at(y - 1, x + 1);
      gradient[static_cast<size_t>(y) * size.width + x] = std::hypot(gx, gy);
    }
  }
  return gradient;
}

// Pearson's correlation of everything that was added.
class Correlation {
 public:
  void add(const Plane& a, const Plane& b) {
    for (size_t i = 0; i < a.size(); ++i) {
      const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
      x_ += x;
      y_ += y;
      xx_ += x * x;
      yy_ += y * y;
      xy_ += x * y;
    }
    count_ += static_cast<double>(a.size());
  }
  double value() const {
    const double x = xx_ - x_ * x_ / count_, y = yy_ - y_ * y_ / count_;
    return x > 0 && y > 0 ? (xy_ - x_ * y_ / count_) / std::sqrt(x * y) : 0;
  }

 private:
  double x_ = 0, y_ = 0, xx_ = 0, yy_ = 0, xy_ = 0, count_ = 0;
};

double difference(const uint8_t* a, const uint8_t* b, size_t bytes) {
  int64_t sum = 0;
  for (size_t i = 0; i < bytes; ++i) sum += std::abs(int{a[i]} - int{b[i]});
  return static_cast<double>(sum) / static_cast<double>(bytes);
}

// Mean over successive frames of all chunks but the first.
double flicker_of(const std::vector<Pixels>& chunks, size_t frame) {
  double sum = 0, count = 0;
  for (size_t c = 1; c < chunks.size(); ++c) {
    for (size_t at = 0; at < chunks[c].size(); at += frame) {
      const uint8_t* before =
          at == 0 ? chunks[c - 1].data() + chunks[c - 1].size() - frame : &chunks[c][at - frame];
      sum += difference(before, &chunks[c][at], frame);
      ++count;
    }
  }
  return count > 0 ? sum / count : 0;
}

// A stream whose chunks come out as many steps later as it has.
std::vector<Pixels> put_through(Pipeline& pipeline, StreamSession& session,
                                const std::vector<Pixels>& in, int steps, std::vector<double>& ms) {
  using Clock = std::chrono::steady_clock;
  std::vector<Pixels> out;
  for (size_t c = 0; c < in.size() + static_cast<size_t>(steps) - 1; ++c) {
    Pixels made(in[0].size());
    const auto start = Clock::now();
    Pipeline::Job job{&session, in[std::min(c, in.size() - 1)].data(), made.data(), {}};
    pipeline.run(&job, 1);
    ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    if (job.result.has_frames) out.push_back(std::move(made));
  }
  return out;
}

}  // namespace

RestyleQuality measure_restyle(Pipeline& pipeline, const TransformSettings& settings,
                               const PictureSize& painted, const std::vector<Pixels>& clip) {
  DL_CHECK(clip.size() >= 3, "clip", "three chunks or more", clip.size());
  const ModelInfo& info = pipeline.info();
  const Size size{painted.width, painted.height};
  const size_t frame = 3 * size.pixels();
  const auto session = pipeline.open(settings, painted);
  RestyleQuality quality;
  quality.prompt = settings.prompt;
  std::vector<double> ms;
  quality.chunks = put_through(pipeline, *session, clip, settings.steps, ms);
  quality.ms_per_chunk = percentile(ms, 0.5);
  quality.flicker = flicker_of(quality.chunks, frame);
  quality.input_flicker = flicker_of(clip, frame);
  Correlation correlation;
  double effect = 0, frames = 0;
  for (size_t c = 1; c < clip.size(); ++c) {
    for (size_t at = 0; at < clip[c].size(); at += frame, ++frames) {
      const uint8_t *in = &clip[c][at], *out = &quality.chunks[c][at];
      correlation.add(gradient_of(in, size), gradient_of(out, size));
      effect += difference(in, out, frame);
    }
  }
  quality.structure = correlation.value();
  quality.effect = effect / frames;

  Pixels still;
  for (int f = 0; f < info.frames_per_chunk; ++f) {
    still.insert(still.end(), clip.back().end() - static_cast<std::ptrdiff_t>(frame),
                 clip.back().end());
  }
  const auto chunks = static_cast<size_t>(kFrozenSeconds * info.fps / info.frames_per_chunk);
  // The first third is what is left of the motion in the stream's memory.
  std::vector<Pixels> frozen =
      put_through(pipeline, *session, std::vector<Pixels>(chunks, still), settings.steps, ms);
  frozen.erase(frozen.begin(), frozen.begin() + static_cast<std::ptrdiff_t>(chunks / 3));
  quality.frozen_flicker = flicker_of(frozen, frame);
  return quality;
}

}  // namespace driftless
