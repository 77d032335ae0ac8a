#include "media/overload_blur.h"

#include <algorithm>
#include <utility>

#include "media/matte_refiner.h"

extern "C" {
#include <libavutil/frame.h>
}

namespace driftless {
namespace {

// Three boxes of this radius are nearly a Gaussian of 3.5 small pixels: a twentieth of the picture.
constexpr int kRadius = 3;

/// Where a pixel's centre lies between two of the small ones.
struct Place {
  int first, second;
  float share;  // of the second
};

Place place(int at, int size, int small) {
  const float exact =
      (static_cast<float>(at) + 0.5f) * static_cast<float>(small) / static_cast<float>(size) - 0.5f;
  const float inside = std::clamp(exact, 0.0f, static_cast<float>(small - 1));
  const int first = static_cast<int>(inside);
  return {first, std::min(first + 1, small - 1), inside - static_cast<float>(first)};
}

}  // namespace

OverloadBlur::OverloadBlur(const ModelInfo& model) : model_(model) {}

GeneratedChunk OverloadBlur::blurred(Chunk chunk) {
  GeneratedChunk out;
  out.source = chunk.source;
  out.blurred = true;
  out.revision = chunk.revision;
  out.ready_ms = steady_now_ms();
  out.size = size_ = chunk.size.known() ? chunk.size : model_.size();
  const bool upright = size_.height > size_.width;
  width_ = std::min(upright ? kHeight : kWidth, size_.width);
  height_ = std::min(upright ? kWidth : kHeight, size_.height);
  const size_t frame_bytes = static_cast<size_t>(size_.rgb(1).count());
  if (chunk.on_device()) {
    out.rgb.resize(frame_bytes * chunk.frames.size());
    video_->to_host(chunk.data(), out.rgb.data(), out.rgb.size());
  } else {
    out.rgb = std::move(chunk.rgb);
  }
  for (size_t i = 0; i < chunk.frames.size(); ++i) blur(out.rgb.data() + frame_bytes * i);
  for (FrameMeta& meta : chunk.frames) {
    meta.camera.reset();
    meta.guide.luma.reset();
  }
  out.frames = std::move(chunk.frames);
  out.compute_ms = steady_now_ms() - out.ready_ms;
  return out;
}

void OverloadBlur::blur(uint8_t* rgb) {
  const size_t small = static_cast<size_t>(width_) * height_;
  for (auto& map : maps_) map.assign(small, 0.0f);
  counts_.assign(small, 0.0f);
  for (int y = 0; y < size_.height; ++y) {
    const int row = y * height_ / size_.height;
    for (int x = 0; x < size_.width; ++x) {
      const size_t at = static_cast<size_t>(row) * width_ + x * width_ / size_.width;
      const uint8_t* from = rgb + (static_cast<size_t>(y) * size_.width + x) * 3;
      for (int c = 0; c < 3; ++c) maps_[c][at] += static_cast<float>(from[c]);
      counts_[at] += 1.0f;
    }
  }
  for (auto& map : maps_) {
    for (size_t i = 0; i < small; ++i) map[i] /= counts_[i];
    for (int turn = 0; turn < 3; ++turn) {
      box_mean(map.data(), map.data(), width_, height_, kRadius, memory_);
    }
  }
  for (int y = 0; y < size_.height; ++y) {
    const Place row = place(y, size_.height, height_);
    const size_t upper = static_cast<size_t>(row.first) * width_;
    const size_t lower = static_cast<size_t>(row.second) * width_;
    for (int x = 0; x < size_.width; ++x) {
      const Place column = place(x, size_.width, width_);
      for (int c = 0; c < 3; ++c) {
        const float* map = maps_[c].data();
        const auto between = [&](size_t line) {
          const float a = map[line + column.first], b = map[line + column.second];
          return a + column.share * (b - a);
        };
        const float above = between(upper), value = above + row.share * (between(lower) - above);
        *rgb++ = static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
      }
    }
  }
}

}  // namespace driftless
