#pragma once

// Which kernel convolves or multiplies what; the kernels themselves are compiled in convolution.cc
// alone, beside the rest of the backend.

#include "ops/cuda/conv.cuh"
#include "ops/cuda/cuda_ops.h"

namespace driftless {
namespace cuda {

/// y = tail(conv(input)), products in the precision: f32, f16, or bf16 for all others. weight
/// [phases, out, kernel_t, kernel, kernel, channels] in that type. X and Y are float or that type.
template <typename X, typename Y>
void convolve(CudaPrecision precision, const ConvInput<X>& input, const void* weight,
              const LinearTail<Y>& tail, Y* y, cudaStream_t stream);

/// The same with weights of 8 bits; channels are a multiple of 8. Y is float or bf16.
template <typename Y>
void convolve_e4m3(const ConvInput<bf16>& input, const e4m3* weight, const LinearTail<Y>& tail,
                   Y* y, cudaStream_t stream);

}  // namespace cuda
}  // namespace driftless
