#include "ops/cuda/convolution.h"

#include <type_traits>

#include "ops/cuda/conv_staged.cuh"

namespace driftless {
namespace cuda {

namespace {

/// Products of 16 bits.
template <typename T, typename X, typename Y>
void convolve_as(const ConvInput<X>& input, const void* weight, const LinearTail<Y>& tail, Y* y,
                 cudaStream_t stream) {
  const auto* narrow = static_cast<const T*>(weight);
  if constexpr (std::is_same_v<X, T>) {
    if (can_stage(input, narrow)) return conv_staged(input, narrow, tail, y, stream);
  }
  conv_mma<T>(input, narrow, tail, y, stream);
}

}  // namespace

template <typename X, typename Y>
void convolve(CudaPrecision precision, const ConvInput<X>& input, const void* weight,
              const LinearTail<Y>& tail, Y* y, cudaStream_t stream) {
  constexpr bool kWide = std::is_same_v<X, float> && std::is_same_v<Y, float>;
  constexpr bool kHalf = std::is_same_v<X, f16> || std::is_same_v<Y, f16>;
  if constexpr (kWide) {
    if (precision == CudaPrecision::f32) {
      return conv_plain(input, static_cast<const float*>(weight), tail, y, stream);
    }
  }
  if constexpr (kWide || kHalf) {
    if (precision == CudaPrecision::f16) return convolve_as<f16>(input, weight, tail, y, stream);
  }
  if constexpr (!kHalf) convolve_as<bf16>(input, weight, tail, y, stream);
}

template <typename Y>
void convolve_e4m3(const ConvInput<bf16>& input, const e4m3* weight, const LinearTail<Y>& tail,
                   Y* y, cudaStream_t stream) {
  conv_mma<bf16>(input, weight, tail, y, stream);
}

#define DL_CONVOLVE(X, Y)                                                                       \
  template void convolve(CudaPrecision, const ConvInput<X>&, const void*, const LinearTail<Y>&, \
                         Y*, cudaStream_t)
DL_CONVOLVE(float, float);
DL_CONVOLVE(float, bf16);
DL_CONVOLVE(bf16, float);
DL_CONVOLVE(bf16, bf16);
DL_CONVOLVE(float, f16);
DL_CONVOLVE(f16, float);
DL_CONVOLVE(f16, f16);
#undef DL_CONVOLVE
template void convolve_e4m3(const ConvInput<bf16>&, const e4m3*, const LinearTail<float>&, float*,
                            cudaStream_t);
template void convolve_e4m3(const ConvInput<bf16>&, const e4m3*, const LinearTail<bf16>&, bf16*,
                            cudaStream_t);

}  // namespace cuda
}  // namespace driftless
