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

/// Sums and weights of a panel fill the registers: 32 with AVX-512, 16 before.
#if defined(__AVX512F__)
constexpr int kWidest = 4;
constexpr int kPixels[kMaxVectors + 1] = {0, 14, 14, 8, 6};
#else
constexpr int kWidest = 3;
constexpr int kPixels[kMaxVectors + 1] = {0, 8, 6, 4, 0};
#endif

/// The kernels of one panel width, by pixels - 1.
struct KernelRow {
  PanelKernel kernels[16];
};

template <typename Dot, int kVectors, int... kIndex>
constexpr KernelRow kernel_row(std::integer_sequence<int, kIndex...>) {
  return {{panel_kernel<Dot, kVectors, kIndex + 1>...}};
}

template <typename Dot, int... kIndex>
PanelKernel find_in(int vectors, int64_t pixels, std::integer_sequence<int, kIndex...>) {
  static constexpr KernelRow kRows[] = {
      kernel_row<Dot, kIndex + 1>(std::make_integer_sequence<int, kPixels[kIndex + 1]>())...};
  return kRows[vectors - 1].kernels[pixels - 1];
}

template <typename Dot>
PanelKernel find(int vectors, int64_t pixels) {
  return find_in<Dot>(vectors, pixels, std::make_integer_sequence<int, kWidest>());
}

template <typename Dot>
constexpr PanelKernels kernels_of(WordType type) {
  PanelKernels kernels = {type, kWidest, {}, 1, find<Dot>};
  for (int i = 0; i <= kMaxVectors; ++i) kernels.pixels[i] = kPixels[i];
  return kernels;
}

}  // namespace

const PanelKernels& vector_kernels(WordType type) {
  static constexpr PanelKernels kF32 = kernels_of<F32Dot>(WordType::f32);
#if defined(__AVX512BF16__)
  static constexpr PanelKernels kBf16 = kernels_of<Bf16Dot>(WordType::bf16);
  if (type == WordType::bf16) return kBf16;
#endif
  (void)type;
  return kF32;
}

PanelPlan plan_panels(int64_t channels, const PanelKernels& kernels) {
  const int64_t vectors = (channels + kLanes - 1) / kLanes, most = kernels.max_vectors;
  int64_t panels = (vectors + most - 1) / most;
  int64_t each = (vectors + panels - 1) / panels;
  if (most == 3) {
    // With 16 registers, panels of 2 vectors by 6 pixels and of 3 by 4 both keep 12 sums.
    each = vectors == 1 ? 1 : vectors % 2 == 0 || vectors % 3 != 0 ? 2 : 3;
    panels = (vectors + each - 1) / each;
  }
  return {panels, static_cast<int>(each), static_cast<int>(vectors - (panels - 1) * each)};
}

}  // namespace driftless
