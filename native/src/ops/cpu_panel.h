#pragma once

#include "ops/vector_math.h"

namespace driftless {

/// The one inner kernel of the cpu backend's convolution and attention: a few pixels (or token
/// rows) times one panel of output channels held in registers. Its weights lie as
/// [input value][panel width], zero-padded to whole vectors.
///
/// On AVX2 this form reaches the speed of oneDNN's own direct convolution and more at the small
/// channel counts used here, and it needs no copy for concatenated inputs and no enlarged picture
/// for "nearest 2x, then convolve".

/// A run of input values that are contiguous for one pixel.
struct PanelSegment {
  const float* x;
  int64_t length;
  int64_t pixel_stride;  ///< Floats between two pixels' runs.
};

struct PanelOutput {
  float* y;
  const float* bias;      ///< Padded to the panel's width; null = zero.
  const float* residual;  ///< Same layout as y; null = none.
  int64_t pixel_stride;   ///< Floats between two output pixels.
  int64_t channels;       ///< Channels of this panel to store (the rest is padding).
  bool relu;
  /// Unfinished sums [pixel][panel width], where a panel's weights are too many for the first-level
  /// cache and are gone through in several calls: `first` starts from the bias instead of them,
  /// `last` finishes into y instead of them.
  float* sums;
  bool first, last;
};

template <int kPixels, int kVectors>
void panel_kernel(const PanelSegment* segments, int count, const float* weights,
                  const PanelOutput& out) {
  constexpr int kWidth = kVectors * kLanes;
  Vec sum[kPixels][kVectors];
  if (out.first) {
    for (int v = 0; v < kVectors; ++v) {
      const Vec start = out.bias != nullptr ? load_vec(out.bias + v * kLanes) : Vec{};
      for (int p = 0; p < kPixels; ++p) sum[p][v] = start;
    }
  } else {
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) sum[p][v] = load_vec(out.sums + p * kWidth + v * kLanes);
    }
  }
  for (int s = 0; s < count; ++s) {
    const float* x = segments[s].x;
    const int64_t length = segments[s].length, stride = segments[s].pixel_stride;
    for (int64_t i = 0; i < length; ++i) {
      Vec w[kVectors];
      for (int v = 0; v < kVectors; ++v) w[v] = load_vec(weights + v * kLanes);
      weights += kWidth;
      for (int p = 0; p < kPixels; ++p) {
        const Vec value = splat(x[p * stride + i]);
        for (int v = 0; v < kVectors; ++v) sum[p][v] += value * w[v];
      }
    }
  }
  if (!out.last) {
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) store_vec(out.sums + p * kWidth + v * kLanes, sum[p][v]);
    }
    return;
  }
  const bool whole = out.channels == kWidth;
  for (int p = 0; p < kPixels; ++p) {
    float* y = out.y + p * out.pixel_stride;
    const float* residual = out.residual != nullptr ? out.residual + p * out.pixel_stride : nullptr;
    if (whole) {
      for (int v = 0; v < kVectors; ++v) {
        Vec value = sum[p][v];
        if (residual != nullptr) value += load_vec(residual + v * kLanes);
        if (out.relu) value = relu_vec(value);
        store_vec(y + v * kLanes, value);
      }
    } else {
      float values[kWidth];
      std::memcpy(values, sum[p], sizeof values);
      for (int64_t c = 0; c < out.channels; ++c) {
        float value = values[c];
        if (residual != nullptr) value += residual[c];
        y[c] = out.relu && value < 0.0f ? 0.0f : value;
      }
    }
  }
}

using PanelKernel = void (*)(const PanelSegment*, int, const float*, const PanelOutput&);

/// How an output width is cut into panels: `vectors` registers each, `pixels` at a time.
struct PanelPlan {
  int vectors;
  int pixels;
  int64_t width() const { return int64_t{vectors} * kLanes; }
};

/// 2 vectors x 6 pixels and 3 x 4 both keep 12 sums in 16 registers; the one with less padding is
/// taken.
inline PanelPlan plan_panels(int64_t channels) {
  const auto padded = [&](int64_t vectors) {
    const int64_t width = vectors * kLanes;
    return (channels + width - 1) / width * width;
  };
  if (padded(1) < padded(2) && padded(1) < padded(3) && channels <= kLanes) return {1, 8};
  return padded(3) < padded(2) ? PanelPlan{3, 4} : PanelPlan{2, 6};
}

/// Pixels of the next call when `left` remain: a small remainder is shared between the last two
/// calls, because one or two pixels alone have too few independent sums to hide the latency.
inline int64_t next_group(const PanelPlan& plan, int64_t left) {
  if (left <= plan.pixels) return left;
  return left < plan.pixels + plan.pixels / 2 ? (left + 1) / 2 : plan.pixels;
}

/// The kernel of a plan for 1..plan.pixels pixels.
PanelKernel panel_kernel_for(const PanelPlan& plan, int64_t pixels);

}  // namespace driftless
