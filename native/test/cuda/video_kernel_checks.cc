// Checks of video.cuh.

#include "cuda/picture_check_support.h"
#include "ops/cuda/video.cuh"

namespace driftless {

namespace {

/// A picture with gaps behind its lines.
struct Video {
  Video(KernelRun& run, int width, int height, int step)
      : luma(int64_t{width + 5} * height),
        chroma(int64_t{step} * (chroma_width(width) + 3) * ((height + 1) / 2)),
        other(step == 1 ? chroma.count() : 1) {
    for (const auto* plane : {&luma, &chroma, &other}) {
      randomise(run, run.arena.tensor({plane->count()}, DType::u8), *plane);
    }
    picture = {luma.data(),
               chroma.data(),
               step == 1 ? other.data() : chroma.data() + 1,
               width + 5,
               int64_t{step} * (chroma_width(width) + 3),
               step,
               width,
               height};
  }
  static int chroma_width(int width) { return (width + 1) / 2; }
  void require_intact() const {
    for (const auto* plane : {&luma, &chroma, &other}) plane->require_intact();
  }
  uint64_t hash() const { return luma.hash() * 31 * 31 + chroma.hash() * 31 + other.hash(); }
  const KernelBuffer<uint8_t> luma, chroma, other;
  YuvPicture picture;
};

double sample(const Axis& across, const Axis& down, const uint8_t* plane, int64_t pitch, int step,
              int x, int y) {
  const Resampling::Taps u = across.axis.taps[static_cast<size_t>(x)],
                         v = down.axis.taps[static_cast<size_t>(y)];
  double sum = 0;
  for (int j = 0; j < v.count; ++j) {
    for (int i = 0; i < u.count; ++i) {
      sum += double{down.axis.weights[static_cast<size_t>(v.weights + j)]} *
             double{across.axis.weights[static_cast<size_t>(u.weights + i)]} *
             plane[(v.first + j) * pitch + (u.first + i) * step];
    }
  }
  return sum;
}

/// A picture of 4:2:0 to pixels of another size, by what the standards say.
KernelResult yuv_to_rgb(KernelRun& run) {
  const int h = run.integer("h"), w = run.integer("w");
  const int to_h = run.integer("to_h"), to_w = run.integer("to_w");
  const YuvColours colours = {run.flag("full"), run.flag("bt709")};
  const Video video(run, w, h, run.integer("step"));
  const Axis across(Resampling::triangle(w, to_w)), down(Resampling::triangle(h, to_h));
  const Axis chroma_across(Resampling::triangle((w + 1) / 2, to_w)),
      chroma_down(Resampling::triangle((h + 1) / 2, to_h));
  const KernelBuffer<uint8_t> rgb(int64_t{to_h} * to_w * 3);
  cuda::yuv_to_rgb(video.picture,
                   {across.there(), down.there(), chroma_across.there(), chroma_down.there()},
                   colours, rgb.data(), nullptr);
  const Tensor expected = run.arena.tensor({to_h, to_w, 3}, DType::u8);
  const double red = colours.bt709 ? 0.2126 : 0.299, blue = colours.bt709 ? 0.0722 : 0.114;
  const YuvPicture& p = video.picture;
  for (int y = 0; y < to_h; ++y) {
    for (int x = 0; x < to_w; ++x) {
      double luma = sample(across, down, p.luma, p.luma_pitch, 1, x, y);
      double pb = sample(chroma_across, chroma_down, p.blue, p.chroma_pitch, p.chroma_step, x, y),
             pr = sample(chroma_across, chroma_down, p.red, p.chroma_pitch, p.chroma_step, x, y);
      luma = colours.full_range ? luma / 255 : (luma - 16) / 219;
      pb = (pb - 128) / (colours.full_range ? 255 : 224);
      pr = (pr - 128) / (colours.full_range ? 255 : 224);
      const double r = luma + 2 * (1 - red) * pr, b = luma + 2 * (1 - blue) * pb;
      const double values[3] = {r, (luma - red * r - blue * b) / (1 - red - blue), b};
      for (int c = 0; c < 3; ++c) {
        expected.u8()[(y * to_w + x) * 3 + c] =
            static_cast<uint8_t>(std::lround(255 * std::clamp(values[c], 0.0, 1.0)));
      }
    }
  }
  return compare_bytes(expected, rgb, 1);
}

/// Pixels to 4:2:0, by what BT.601 says.
KernelResult rgb_to_yuv(KernelRun& run) {
  const int h = run.integer("h"), w = run.integer("w");
  const Video video(run, w, h, run.integer("step"));
  const Tensor rgb = run.arena.tensor({h, w, 3}, DType::u8);
  const KernelBuffer<uint8_t> there(rgb.count());
  randomise(run, rgb, there);
  cuda::rgb_to_yuv(there.data(), video.picture, nullptr);
  cuda::check(cudaStreamSynchronize(nullptr), "rgb_to_yuv");
  video.require_intact();
  const YuvPicture& p = video.picture;
  double worst = 0;
  for (int y = 0; y < h; y += 2) {
    for (int x = 0; x < w; x += 2) {
      double blue = 0, red = 0;
      for (int i = 0; i < 4; ++i) {
        const uint8_t* pixel = rgb.u8() + ((y + i / 2) * w + x + i % 2) * 3;
        const double luma = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
        worst = std::max(worst, std::abs(16 + luma * 219 / 255 -
                                         p.luma[(y + i / 2) * p.luma_pitch + x + i % 2]));
        blue += (pixel[2] - luma) / 1.772 / 4;
        red += (pixel[0] - luma) / 1.402 / 4;
      }
      const int64_t at = y / 2 * p.chroma_pitch + x / 2 * p.chroma_step;
      worst = std::max({worst, std::abs(128 + blue * 224 / 255 - p.blue[at]),
                        std::abs(128 + red * 224 / 255 - p.red[at])});
    }
  }
  return {worst, 0.51, video.hash()};
}

/// The kernels behind VideoOps::enlarge(), by the formula in media/guided_upscaler.h.
KernelResult guided_detail(KernelRun& run) {
  const int h = run.integer("h"), w = run.integer("w");
  const int to_h = run.integer("to_h"), to_w = run.integer("to_w"), step = run.integer("step");
  const Video small(run, w, h, step), large(run, to_w, to_h, step);
  const Tensor guide = run.arena.tensor({to_h, to_w}, DType::u8),
               shrunk = run.arena.tensor({h, w}, DType::u8);
  const KernelBuffer<uint8_t> guide_there(guide.count()), planes(3 * shrunk.count());
  randomise(run, guide, guide_there);
  const KernelBuffer<uint8_t> random(shrunk.count());
  randomise(run, shrunk, random);
  std::copy_n(shrunk.u8(), shrunk.count(), planes.data());
  const cuda::GuidedPlanes guided = {planes.data(), planes.data() + shrunk.count(),
                                     planes.data() + 2 * shrunk.count()};
  const Axis across(Resampling::cubic(w, to_w)), down(Resampling::cubic(h, to_h)),
      slope_across(Resampling::triangle(w, to_w)), slope_down(Resampling::triangle(h, to_h));
  cuda::fit_slopes(small.picture, guided, nullptr);
  cuda::add_detail(small.picture, guided,
                   {across.there(), down.there(), slope_across.there(), slope_down.there()},
                   guide_there.data(), large.picture, nullptr);
  cuda::check(cudaStreamSynchronize(nullptr), "guided_detail");
  planes.require_intact();
  large.require_intact();
  double worst = 0;
  const YuvPicture& p = small.picture;
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      double n = 0, i = 0, o = 0, ii = 0, io = 0, soft = 0;
      for (int v = y - 2; v <= y + 2; ++v) {
        for (int u = x - 2; u <= x + 2; ++u) {
          const double camera = shrunk.u8()[std::clamp(v, 0, h - 1) * w + std::clamp(u, 0, w - 1)];
          if (std::abs(u - x) <= 1 && std::abs(v - y) <= 1) {
            soft += camera * (2 - std::abs(u - x)) * (2 - std::abs(v - y)) / 16;
          }
          if (u < 0 || v < 0 || u >= w || v >= h) continue;
          const double made = p.luma[v * p.luma_pitch + u];
          n += 1, i += camera, o += made, ii += camera * camera, io += camera * made;
        }
      }
      const double slope = (io / n - i / n * o / n) / (ii / n - i / n * i / n + 40);
      worst =
          std::max({worst, std::abs(soft - guided.soft[y * w + x]),
                    std::abs(std::clamp(128 + 80 * slope, 0.0, 255.0) - guided.slopes[y * w + x])});
    }
  }
  const YuvPicture& out = large.picture;
  for (int y = 0; y < to_h; ++y) {
    for (int x = 0; x < to_w; ++x) {
      const auto byte = [](double value) { return std::clamp(value, 0.0, 255.0); };
      const double made = byte(sample(across, down, p.luma, p.luma_pitch, 1, x, y)),
                   soft = byte(sample(across, down, guided.soft, w, 1, x, y)),
                   slope = sample(slope_across, slope_down, guided.slopes, w, 1, x, y);
      const double detail = (slope - 128) / 80 * (guide.u8()[y * to_w + x] - soft);
      // Numbers are rounded to bytes on the way: the slope to an 80th.
      const double off =
          std::abs(std::clamp(made + detail, 16.0, 235.0) - out.luma[y * out.luma_pitch + x]);
      worst = std::max(worst, off / (1 + (std::abs(guide.u8()[y * to_w + x] - soft) + 2) / 80));
    }
  }
  return {worst, 1.55, large.hash()};
}

/// A person before a scene, by what MatteMath says of one pixel; then copied into another layout.
KernelResult compose(KernelRun& run) {
  const int h = run.integer("h"), w = run.integer("w"), step = run.integer("step");
  const int map_h = run.integer("map_h"), map_w = run.integer("map_w");
  const int scene_h = run.integer("scene_h"), scene_w = run.integer("scene_w");
  const float opacity = static_cast<float>(run.integer("opacity")) / 100;
  const Video camera(run, w, h, step), scene(run, scene_w, scene_h, 1), to(run, w, h, 3 - step),
      copied(run, w, h, step);
  const int64_t points = int64_t{map_h} * map_w;
  const Tensor slope = run.random<float>({points}), offset = run.random<float>({points}),
               colours = run.random<float>({points * 4}, 60);
  for (int64_t i = 0; i < points; ++i) {
    for (int c = 0; c < 3; ++c) colours.f32()[4 * i + c] += 120;
    colours.f32()[4 * i + 3] = std::clamp(std::abs(colours.f32()[4 * i + 3]) / 60, 0.0f, 1.0f);
  }
  const KernelBuffer<float> slope_there(slope), offset_there(offset), colours_there(colours);
  const Axis across(Resampling::triangle(scene_w, w)), down(Resampling::triangle(scene_h, h)),
      chroma_across(Resampling::triangle((scene_w + 1) / 2, w / 2)),
      chroma_down(Resampling::triangle((scene_h + 1) / 2, h / 2));
  cuda::compose({camera.picture,
                 scene.picture,
                 to.picture,
                 {slope_there.data(), offset_there.data(), colours_there.data(), map_w, map_h},
                 MatteMath::fade(opacity),
                 {across.there(), down.there(), chroma_across.there(), chroma_down.there()}},
                nullptr);
  cuda::copy_picture(to.picture, copied.picture, nullptr);
  cuda::check(cudaStreamSynchronize(nullptr), "compose");
  for (const Video* video : {&to, &copied}) video->require_intact();

  const auto grid = [&](const Tensor& map, double x, double y) {
    const int column = std::min(static_cast<int>(x), map_w - 2),
              row = std::min(static_cast<int>(y), map_h - 2);
    const float* corner = map.f32() + row * map_w + column;
    const double u = x - column, v = y - row;
    return static_cast<float>(
        (1 - v) * ((1 - u) * double{corner[0]} + u * double{corner[1]}) +
        v * ((1 - u) * double{corner[map_w]} + u * double{corner[map_w + 1]}));
  };
  std::vector<uint8_t> alphas(static_cast<size_t>(w) * h);
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      const double column = std::clamp((x + 0.5) * map_w / w - 0.5, 0.0, map_w - 1.0),
                   row = std::clamp((y + 0.5) * map_h / h - 0.5, 0.0, map_h - 1.0);
      const uint8_t alpha =
          MatteMath::alpha(grid(slope, column, row), grid(offset, column, row),
                           camera.picture.luma[y * camera.picture.luma_pitch + x]);
      alphas[static_cast<size_t>(y) * w + x] =
          opacity < 1 ? MatteMath::faded(alpha, MatteMath::fade(opacity)) : alpha;
    }
  }
  int worst = 0;
  for (int channel = 0; channel < 3; ++channel) {
    const bool luma = channel == 0;
    const int width = luma ? w : w / 2, height = luma ? h : h / 2;
    const auto at = [&](const YuvPicture& p, int x, int y) -> int {
      if (luma) return p.luma[y * p.luma_pitch + x];
      return (channel == 1 ? p.blue : p.red)[y * p.chroma_pitch + x * p.chroma_step];
    };
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const YuvPicture& s = scene.picture;
        const double behind =
            luma ? sample(across, down, s.luma, s.luma_pitch, 1, x, y)
                 : sample(chroma_across, chroma_down, channel == 1 ? s.blue : s.red, s.chroma_pitch,
                          s.chroma_step, x, y);
        const uint8_t* four =
            &alphas[static_cast<size_t>((luma ? y : 2 * y) * w + (luma ? x : 2 * x))];
        const auto alpha = static_cast<uint8_t>(
            luma ? four[0] : (four[0] + four[1] + four[w] + four[w + 1] + 2) / 4);
        const float* colour = colours.f32() + 4 * (y * map_h / height * map_w + x * map_w / width);
        const int expected =
            MatteMath::mix(MatteMath::person(static_cast<uint8_t>(at(camera.picture, x, y)), alpha,
                                             colour, channel),
                           static_cast<uint8_t>(std::lround(behind)), alpha);
        const int got = at(to.picture, x, y);
        worst = std::max(worst, std::abs(expected - got));
        if (got != at(copied.picture, x, y)) worst = 1000;
      }
    }
  }
  // A step of alpha is worth one of the picture, and numbers are rounded twice.
  return {static_cast<double>(worst), 3, to.hash() * 31 + copied.hash()};
}

/// One plane at another size.
KernelResult resample_plane(KernelRun& run) {
  const int h = run.integer("h"), w = run.integer("w"), step = run.integer("step");
  const int to_h = run.integer("to_h"), to_w = run.integer("to_w");
  const Axis across(Resampling::cubic(w, to_w)), down(Resampling::area(h, to_h));
  const KernelBuffer<uint8_t> from(int64_t{w} * step * h), to(int64_t{to_w} * step * to_h);
  randomise(run, run.arena.tensor({from.count()}, DType::u8), from);
  std::fill_n(to.data(), to.count(), uint8_t{1});
  cuda::resample_plane({from.data(), int64_t{w} * step, step}, across.there(), down.there(),
                       {to.data(), int64_t{to_w} * step, step}, nullptr);
  cuda::check(cudaStreamSynchronize(nullptr), "resample_plane");
  to.require_intact();
  double worst = 0;
  for (int y = 0; y < to_h; ++y) {
    for (int x = 0; x < to_w * step; ++x) {
      const double value =
          x % step > 0 ? 1
                       : sample(across, down, from.data(), int64_t{w} * step, step, x / step, y);
      worst =
          std::max(worst, std::abs(std::clamp(value, 0.0, 255.0) - to.data()[y * to_w * step + x]));
    }
  }
  return {worst, 0.51, to.hash()};
}

}  // namespace

KernelTable video_kernel_checks() {
  const auto f32 = [](std::map<std::string, int64_t> sizes, KernelResult (*check)(KernelRun&)) {
    return KernelCheck{std::move(sizes), check, nullptr, nullptr};
  };
  return {
      {"yuv_to_rgb", f32({{"h", 19},
                          {"w", 33},
                          {"to_h", 8},
                          {"to_w", 14},
                          {"step", 2},
                          {"full", 0},
                          {"bt709", 0}},
                         yuv_to_rgb)},
      {"rgb_to_yuv", f32({{"h", 6}, {"w", 262}, {"step", 2}}, rgb_to_yuv)},
      {"guided_detail",
       f32({{"h", 8}, {"w", 14}, {"to_h", 18}, {"to_w", 34}, {"step", 2}}, guided_detail)},
      {"compose", f32({{"h", 20},
                       {"w", 36},
                       {"map_h", 9},
                       {"map_w", 16},
                       {"scene_h", 12},
                       {"scene_w", 18},
                       {"step", 2},
                       {"opacity", 100}},
                      compose)},
      {"resample_plane",
       f32({{"h", 9}, {"w", 7}, {"to_h", 4}, {"to_w", 300}, {"step", 2}}, resample_plane)},
  };
}

}  // namespace driftless
