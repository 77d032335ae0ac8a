#pragma once

#include "ops/words.h"

namespace driftless {

/// The one inner kernel of the cpu backend's products, convolutions and attention: a few pixels (or
/// token rows) times one panel of output channels held in registers. Its weights lie as
/// [input word][panel width], zero-padded to whole vectors.
///
/// Each output is summed over its inputs in one order, so it does not depend on how many pixels
/// share a call. For convolutions the form needs no copy for concatenated inputs and no
/// enlarged picture for "nearest 2x, then convolve".

/// A run of input words that are contiguous for one pixel; where kernels go in steps of several
/// words, those of one step are.
struct PanelSegment {
  const Word* x;
  int64_t length;
  int64_t pixel_stride;  ///< Words between two pixels' runs.
  int64_t step_stride;   ///< Words between two steps.
  int64_t tile_stride;   ///< Words between a pixel's run and the one 16 pixels on.
};

/// The usual layout: pixels `pixel_stride` words apart, each with all of its words.
inline PanelSegment plain_segment(const Word* x, int64_t length, int64_t pixel_stride) {
  return {x, length, pixel_stride, 16, 16 * pixel_stride};
}

struct PanelOutput {
  int64_t pixels;
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

/// Rows of an AMX tile, and words of one.
constexpr int kTileRows = 16;
constexpr int kTileWords = 16;

/// Widest panel of any kernel, in vectors.
constexpr int kMaxVectors = 4;

/// The kernels of one arithmetic.
struct PanelKernels {
  WordType type;
  int max_vectors;
  /// Most pixels of one call, by the panel's vectors: its sums fill the registers.
  int pixels[kMaxVectors + 1];
  /// A segment is gone through in steps of so many words. Its weights are zero-padded to whole
  /// steps, and as many words of x can be read and are finite numbers.
  int64_t step;
  /// The kernel for 1..pixels[vectors] pixels.
  PanelKernel (*find)(int vectors, int64_t pixels);

  int64_t whole_steps(int64_t words) const { return (words + step - 1) / step * step; }
  /// Pixels of the next call when `left` remain. With vector instructions a small remainder is
  /// shared between the last two calls, because one or two pixels alone have too few independent
  /// sums to hide the latency.
  int64_t group(int panel_vectors, int64_t left) const {
    const int64_t most = pixels[panel_vectors];
    if (left <= most) return left;
    return step == 1 && left < most + most / 2 ? (left + 1) / 2 : most;
  }
};

/// Vector instructions, words by words. bf16 only where kHasBf16.
const PanelKernels& vector_kernels(WordType type);

/// The plan with the least padding and, among those, the widest panels.
PanelPlan plan_panels(int64_t channels, const PanelKernels& kernels);

}  // namespace driftless
