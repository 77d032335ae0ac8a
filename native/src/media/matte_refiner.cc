#include "media/matte_refiner.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "ops/matte_math.h"

namespace driftless {
namespace {

float smoothstep(float low, float high, float x) {
  const float t = std::clamp((x - low) / (high - low), 0.0f, 1.0f);
  return t * t * (3 - 2 * t);
}

}  // namespace

void box_mean(const float* in, float* out, int width, int height, int radius,
              std::vector<float>& memory) {
  // Columns first, as running sums over whole rows; then along each row, padded with zeros. Both
  // loops are vectors over the row: windows are too small for running sums along it to pay.
  const size_t padded = static_cast<size_t>(width) + 2 * static_cast<size_t>(radius);
  memory.assign(static_cast<size_t>(width) * (height + 2) + padded, 0.0f);
  float *sums = memory.data(), *parts = sums + width, *line = parts + width,
        *vertical = line + padded;
  for (int x = 0; x < width; ++x) {
    const int columns = std::min(width - 1, x + radius) - std::max(0, x - radius) + 1;
    parts[x] = 1.0f / static_cast<float>(columns);
  }
  for (int row = 0; row < std::min(radius, height); ++row) {
    for (int x = 0; x < width; ++x) sums[x] += in[row * width + x];
  }
  for (int row = 0; row < height; ++row) {
    if (row + radius < height) {
      const float* entering = in + (row + radius) * width;
      for (int x = 0; x < width; ++x) sums[x] += entering[x];
    }
    if (row > radius) {
      const float* leaving = in + (row - radius - 1) * width;
      for (int x = 0; x < width; ++x) sums[x] -= leaving[x];
    }
    const int rows = std::min(height - 1, row + radius) - std::max(0, row - radius) + 1;
    const float factor = 1.0f / static_cast<float>(rows);
    for (int x = 0; x < width; ++x) vertical[row * width + x] = sums[x] * factor;
  }
  for (int row = 0; row < height; ++row) {
    std::copy_n(vertical + row * width, width, line + radius);
    float* target = out + row * width;
    std::copy_n(line, width, target);
    for (int shift = 1; shift <= 2 * radius; ++shift) {
      for (int x = 0; x < width; ++x) target[x] += line[x + shift];
    }
    for (int x = 0; x < width; ++x) target[x] *= parts[x];
  }
}

MatteRefiner::MatteRefiner(int width, int height, const MatteTuning& tuning)
    : width_(width), height_(height), tuning_(tuning) {
  if (width < 8 || height < 8) {
    throw Error("mask size", "at least 8x8", std::to_string(width) + "x" + std::to_string(height));
  }
  const size_t pixels = static_cast<size_t>(width) * height;
  for (auto* map : {&luma_, &last_luma_, &motion_, &blended_, &stretched_, &slope_, &offset_}) {
    map->assign(pixels, 0.0f);
  }
  for (auto& map : work_) map.assign(pixels, 0.0f);
  rim_.assign(pixels * 4, 128.0f);
  labels_.assign(pixels, 0);
  stack_.reserve(pixels);
}

void MatteRefiner::update(const float* mask, const uint8_t* rgb) {
  const size_t pixels = luma_.size();
  std::swap(luma_, last_luma_);
  for (size_t i = 0; i < pixels; ++i) {
    luma_[i] =
        (0.299f * static_cast<float>(rgb[3 * i]) + 0.587f * static_cast<float>(rgb[3 * i + 1]) +
         0.114f * static_cast<float>(rgb[3 * i + 2])) /
        255.0f;
  }
  blend_in(mask);
  for (size_t i = 0; i < pixels; ++i) {
    stretched_[i] = smoothstep(tuning_.low, tuning_.high, blended_[i]);
  }
  remove_islands();
  fit_edges();
  find_rim_colours(rgb);
}

void MatteRefiner::blend_in(const float* mask) {
  const size_t pixels = luma_.size();
  if (!started_) {
    started_ = true;
    std::copy(mask, mask + pixels, blended_.begin());
    return;
  }
  for (size_t i = 0; i < pixels; ++i) motion_[i] = std::abs(luma_[i] - last_luma_[i]);
  box_mean(motion_.data(), motion_.data(), width_, height_, 2, memory_);
  for (size_t i = 0; i < pixels; ++i) {
    const float moving = std::clamp(
        (motion_[i] - tuning_.motion_low) / (tuning_.motion_high - tuning_.motion_low), 0.0f, 1.0f);
    const float still = mask[i] < blended_[i] ? tuning_.retreat : tuning_.still;
    const float weight = still + (tuning_.moving - still) * moving;
    blended_[i] += weight * (mask[i] - blended_[i]);
  }
}

void MatteRefiner::remove_islands() {
  // Labels: 0 not looked at, then 1, 2, … in the order of discovery.
  constexpr float kSeed = 0.5f;
  std::fill(labels_.begin(), labels_.end(), 0);
  std::vector<int32_t> areas{0};
  const auto pixels = static_cast<int32_t>(labels_.size());
  for (int32_t start = 0; start < pixels; ++start) {
    if (labels_[start] != 0 || stretched_[start] < kSeed) continue;
    const auto label = static_cast<int32_t>(areas.size());
    areas.push_back(0);
    stack_.assign(1, start);
    labels_[start] = label;
    while (!stack_.empty()) {
      const int32_t at = stack_.back();
      stack_.pop_back();
      ++areas[label];
      const int32_t x = at % width_;
      const int32_t neighbours[4] = {x > 0 ? at - 1 : -1, x + 1 < width_ ? at + 1 : -1, at - width_,
                                     at + width_ < pixels ? at + width_ : -1};
      for (const int32_t next : neighbours) {
        if (next < 0 || labels_[next] != 0 || stretched_[next] < kSeed) continue;
        labels_[next] = label;
        stack_.push_back(next);
      }
    }
  }
  const int32_t largest = *std::max_element(areas.begin(), areas.end());
  const auto least =
      static_cast<int32_t>(std::max(tuning_.island_area * static_cast<float>(pixels),
                                    tuning_.island_share * static_cast<float>(largest)));
  int32_t kept = 0;
  for (const int32_t area : areas) {
    if (area >= least) kept += area;
  }
  person_area_ = static_cast<float>(kept) / static_cast<float>(pixels);
  // A faint rim belongs to the patch it touches: keep what lies within a few pixels of one kept.
  std::vector<float>& near = work_[0];
  for (int32_t i = 0; i < pixels; ++i) {
    near[i] = labels_[i] != 0 && areas[labels_[i]] >= least ? 1.0f : 0.0f;
  }
  box_mean(near.data(), near.data(), width_, height_, 2, memory_);
  for (int32_t i = 0; i < pixels; ++i) {
    const bool stray = labels_[i] != 0 && areas[labels_[i]] < least;
    if (stray || near[i] < 1e-4f) stretched_[i] = 0;
  }
}

void MatteRefiner::fit_edges() {
  const size_t pixels = luma_.size();
  std::vector<float>&mean_guide = work_[0], &mean_mask = work_[1], &both = work_[2],
  &square = work_[3];
  const int radius = tuning_.radius;
  for (size_t i = 0; i < pixels; ++i) {
    both[i] = luma_[i] * stretched_[i];
    square[i] = luma_[i] * luma_[i];
  }
  box_mean(luma_.data(), mean_guide.data(), width_, height_, radius, memory_);
  box_mean(stretched_.data(), mean_mask.data(), width_, height_, radius, memory_);
  box_mean(both.data(), both.data(), width_, height_, radius, memory_);
  box_mean(square.data(), square.data(), width_, height_, radius, memory_);
  for (size_t i = 0; i < pixels; ++i) {
    const float covariance = both[i] - mean_guide[i] * mean_mask[i];
    const float variance = std::max(0.0f, square[i] - mean_guide[i] * mean_guide[i]);
    slope_[i] = covariance / (variance + tuning_.epsilon);
    offset_[i] = mean_mask[i] - slope_[i] * mean_guide[i];
  }
  box_mean(slope_.data(), slope_.data(), width_, height_, radius, memory_);
  box_mean(offset_.data(), offset_.data(), width_, height_, radius, memory_);
}

void MatteRefiner::find_rim_colours(const uint8_t* rgb) {
  const size_t pixels = luma_.size();
  constexpr int kRadius = 5;
  std::vector<float>&weight = work_[3], *colour = work_;
  for (size_t i = 0; i < pixels; ++i) {
    // The sixth power keeps the rim itself, where the room shines through, out of the mean.
    const float square = stretched_[i] * stretched_[i];
    weight[i] = square * square * square + 1e-6f;
    for (int c = 0; c < 3; ++c) colour[c][i] = weight[i] * static_cast<float>(rgb[3 * i + c]);
  }
  for (int c = 0; c < 4; ++c) {
    box_mean(work_[c].data(), work_[c].data(), width_, height_, kRadius, memory_);
  }
  std::vector<float>& inside = work_[4];
  box_mean(stretched_.data(), inside.data(), width_, height_, 2, memory_);
  for (size_t i = 0; i < pixels; ++i) {
    const float factor = 1.0f / weight[i];
    const float r = colour[0][i] * factor, g = colour[1][i] * factor, b = colour[2][i] * factor;
    rim_[4 * i] = 16.0f + 0.257f * r + 0.504f * g + 0.098f * b;
    rim_[4 * i + 1] = 128.0f - 0.148f * r - 0.291f * g + 0.439f * b;
    rim_[4 * i + 2] = 128.0f + 0.439f * r - 0.368f * g - 0.071f * b;
    rim_[4 * i + 3] = smoothstep(0.5f, 1.0f, inside[i]);
  }
}

void MatteRefiner::upsample(const uint8_t* luma, int stride, int picture_width, int picture_height,
                            uint8_t* alpha) {
  if (columns_.size() != static_cast<size_t>(picture_width)) {
    columns_.resize(static_cast<size_t>(picture_width));
    weights_.resize(static_cast<size_t>(picture_width));
    for (int x = 0; x < picture_width; ++x) {
      const float at = MatteMath::on_small(x, picture_width, width_);
      columns_[x] = std::min(static_cast<int32_t>(at), width_ - 2);
      weights_[x] = at - static_cast<float>(columns_[x]);
    }
    line_slope_.resize(static_cast<size_t>(width_));
    line_offset_.resize(static_cast<size_t>(width_));
  }
  const int32_t* columns = columns_.data();
  const float *weights = weights_.data(), *slopes = line_slope_.data(),
              *offsets = line_offset_.data();
  for (int y = 0; y < picture_height; ++y) {
    const float at = MatteMath::on_small(y, picture_height, height_);
    const int row = std::min(static_cast<int>(at), height_ - 2);
    const float weight = at - static_cast<float>(row);
    const float *slope = slope_.data() + row * width_, *offset = offset_.data() + row * width_;
    for (int x = 0; x < width_; ++x) {
      line_slope_[x] = slope[x] + weight * (slope[x + width_] - slope[x]);
      line_offset_[x] = offset[x] + weight * (offset[x + width_] - offset[x]);
    }
    const uint8_t* line = luma + static_cast<ptrdiff_t>(y) * stride;
    uint8_t* out = alpha + static_cast<ptrdiff_t>(y) * picture_width;
    for (int x = 0; x < picture_width; ++x) {
      const int32_t c = columns[x];
      const float a = slopes[c] + weights[x] * (slopes[c + 1] - slopes[c]);
      const float b = offsets[c] + weights[x] * (offsets[c + 1] - offsets[c]);
      out[x] = MatteMath::alpha(a, b, line[x]);
    }
  }
}

}  // namespace driftless
