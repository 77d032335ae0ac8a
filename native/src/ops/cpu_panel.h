#pragma once

#include "ops/words.h"

namespace driftless {

/// The one inner kernel of the cpu backend's products, convolutions and attention: a few pixels (or
/// token rows) times one panel of output channels held in registers. Its weights lie as
/// [input word][panel width], zero-padded to whole vectors.
///
/// Each output is summed over its inputs one after another, so it does not depend on how many
/// pixels share a call. For convolutions the form needs no copy for concatenated inputs and no
/// enlarged picture for "nearest 2x, then convolve".

/// A run of input words that are contiguous for one pixel.
struct PanelSegment {
  const Word* x;
  int64_t length;
  int64_t pixel_stride;  ///< Words between two pixels' runs.
};

struct PanelOutput {
  float* y;
  const float* bias;      ///< Padded to the panel's width; null = zero.
  const float* residual;  ///< Same layout as y; null = none.
  int64_t pixel_stride;   ///< Floats between two output pixels.
  int64_t channels;       ///< To store: all of the panel but padding of its last vector.
  bool relu;
  /// Unfinished sums, kept where a panel's inputs are gone through in several calls: `first` starts
  /// from the bias instead of them, `last` finishes into y instead of them.
  float* sums;
  int64_t sums_stride;  ///< Floats between two pixels' sums.
  bool first, last;
};

using PanelKernel = void (*)(const PanelSegment*, int, const Word*, const PanelOutput&);

/// How an output width is cut into panels of `vectors` registers, the last one of `last_vectors`.
struct PanelPlan {
  int64_t panels;
  int vectors, last_vectors;

  int64_t width() const { return int64_t{vectors} * kLanes; }
  int vectors_of(int64_t panel) const { return panel + 1 == panels ? last_vectors : vectors; }
  /// All panels with their padding.
  int64_t padded() const { return (panels - 1) * width() + int64_t{last_vectors} * kLanes; }
};

/// The plan with the least padding and, among those, the widest panels.
PanelPlan plan_panels(int64_t channels);

/// Most pixels of one call: sums and weights of a panel fill the registers (32 with AVX-512, 16
/// before).
#if defined(__AVX512F__)
constexpr int kMaxVectors = 4;
constexpr int kPanelPixels[kMaxVectors + 1] = {0, 14, 14, 8, 6};
#else
constexpr int kMaxVectors = 3;
constexpr int kPanelPixels[kMaxVectors + 1] = {0, 8, 6, 4};
#endif

/// Pixels of the next call when `left` remain and a call takes up to `most`: a small remainder is
/// shared between the last two calls, because one or two pixels alone have too few independent sums
/// to hide the latency.
inline int64_t next_group(int64_t most, int64_t left) {
  if (left <= most) return left;
  return left < most + most / 2 ? (left + 1) / 2 : most;
}

/// The kernel for 1..kPanelPixels[vectors] pixels. bf16 only where kHasBf16.
PanelKernel panel_kernel_for(WordType type, int vectors, int64_t pixels);

}  // namespace driftless
