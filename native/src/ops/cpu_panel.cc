#include "ops/cpu_panel.h"

#include <utility>

namespace driftless {

namespace {

template <typename Dot, int kVectors, int kPixels>
void panel_kernel(const PanelSegment* segments, int count, const Word* weights,
                  const PanelOutput& out) {
  constexpr int kWidth = kVectors * kLanes;
  // One address serves four pixels, at 0 to 3 strides from it.
  constexpr int kAddresses = (kPixels + 3) / 4;
  Vec sum[kPixels][kVectors];
  if (out.first) {
    for (int v = 0; v < kVectors; ++v) {
      const Vec start = out.bias != nullptr ? load_vec(out.bias + v * kLanes) : Vec{};
      for (int p = 0; p < kPixels; ++p) sum[p][v] = start;
    }
  } else {
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        sum[p][v] = load_vec(out.sums + p * out.sums_stride + v * kLanes);
      }
    }
  }
  for (int s = 0; s < count; ++s) {
    const int64_t stride = segments[s].pixel_stride;
    const Word* x[kAddresses];
    for (int a = 0; a < kAddresses; ++a) x[a] = segments[s].x + 4 * a * stride;
    for (int64_t i = 0; i < segments[s].length; ++i) {
      IntVec w[kVectors];
      for (int v = 0; v < kVectors; ++v) w[v] = load_words(weights + v * kLanes);
      weights += kWidth;
      for (int p = 0; p < kPixels; ++p) {
        const IntVec value = splat_word(x[p / 4][p % 4 * stride]);
        for (int v = 0; v < kVectors; ++v) sum[p][v] = Dot::add(sum[p][v], value, w[v]);
      }
      for (int a = 0; a < kAddresses; ++a) ++x[a];
    }
  }
  if (!out.last) {
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        store_vec(out.sums + p * out.sums_stride + v * kLanes, sum[p][v]);
      }
    }
    return;
  }
  // Only the last vector of a panel may be a part.
  const int64_t part = out.channels - (kVectors - 1) * kLanes;
  for (int p = 0; p < kPixels; ++p) {
    float* y = out.y + p * out.pixel_stride;
    const float* residual = out.residual != nullptr ? out.residual + p * out.pixel_stride : nullptr;
    for (int v = 0; v < kVectors; ++v) {
      const bool whole = v + 1 < kVectors || part == kLanes;
      Vec value = sum[p][v];
      if (residual != nullptr) {
        const float* from = residual + v * kLanes;
        value += whole ? load_vec(from) : load_part(from, part);
      }
      if (out.relu) value = relu_vec(value);
      if (whole) {
        store_vec(y + v * kLanes, value);
      } else {
        store_part(y + v * kLanes, value, part);
      }
    }
  }
}

/// The kernels of one panel width, by pixels - 1.
struct KernelRow {
  PanelKernel kernels[16];
};

template <typename Dot, int kVectors, int... kIndex>
constexpr KernelRow kernel_row(std::integer_sequence<int, kIndex...>) {
  return {{panel_kernel<Dot, kVectors, kIndex + 1>...}};
}

template <typename Dot, int... kIndex>
PanelKernel find(int vectors, int64_t pixels, std::integer_sequence<int, kIndex...>) {
  static constexpr KernelRow kRows[] = {
      kernel_row<Dot, kIndex + 1>(std::make_integer_sequence<int, kPanelPixels[kIndex + 1]>())...};
  return kRows[vectors - 1].kernels[pixels - 1];
}

}  // namespace

PanelPlan plan_panels(int64_t channels) {
  const int64_t vectors = (channels + kLanes - 1) / kLanes;
#if defined(__AVX512F__)
  const int64_t panels = (vectors + kMaxVectors - 1) / kMaxVectors;
  const int64_t each = (vectors + panels - 1) / panels;
#else
  // Panels of 2 vectors by 6 pixels and of 3 by 4 both keep 12 sums in 16 registers.
  const int64_t each = vectors == 1 ? 1 : vectors % 2 == 0 || vectors % 3 != 0 ? 2 : 3;
  const int64_t panels = (vectors + each - 1) / each;
#endif
  return {panels, static_cast<int>(each), static_cast<int>(vectors - (panels - 1) * each)};
}

PanelKernel panel_kernel_for(WordType type, int vectors, int64_t pixels) {
  constexpr auto kEach = std::make_integer_sequence<int, kMaxVectors>();
#if defined(__AVX512BF16__)
  if (type == WordType::bf16) return find<Bf16Dot>(vectors, pixels, kEach);
#endif
  (void)type;
  return find<F32Dot>(vectors, pixels, kEach);
}

}  // namespace driftless
