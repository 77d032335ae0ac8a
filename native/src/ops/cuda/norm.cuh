#pragma once

// Layer norm with affine and modulation, and RMS norm: a block per row, statistics in f32. A row
// is read again for each pass: at the engine's widths it stays in the first-level cache.

#include "ops/cuda/platform.cuh"

namespace driftless {
namespace cuda {

constexpr int kNormThreads = 128;

/// y = normal * (1 + scale) + shift with one vector for `rows_per_group` consecutive rows; scale
/// null: none. Strides are between the vectors of neighbouring groups.
struct Modulation {
  const float* scale = nullptr;
  const float* shift = nullptr;
  int64_t scale_stride = 0, shift_stride = 0;
  int64_t rows_per_group = 1;
};

struct LayerNormShared {
  BlockSum<kNormThreads> sum, squares;
};

/// weight and bias: both or none.
template <typename In, typename Out, int kVec>
__global__ void __launch_bounds__(kNormThreads)
    layer_norm_kernel(const In* x, const float* weight, const float* bias, Modulation modulation,
                      float eps, int width, Out* y) {
  auto& shared = shared_memory<LayerNormShared>();
  const int64_t row = blockIdx.x;
  const In* in = x + row * width;
  const int first = threadIdx.x * kVec, step = kNormThreads * kVec;

  float sum = 0.0f;
  for (int i = first; i < width; i += step) {
    const Vec<In, kVec> values = load<In, kVec>(in + i);
#pragma unroll
    for (int j = 0; j < kVec; ++j) sum += to_float(values.v[j]);
  }
  const float mean = block_sum(sum, shared.sum) / static_cast<float>(width);

  float squares = 0.0f;
  for (int i = first; i < width; i += step) {
    const Vec<In, kVec> values = load<In, kVec>(in + i);
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      const float difference = to_float(values.v[j]) - mean;
      squares += difference * difference;
    }
  }
  const float variance = block_sum(squares, shared.squares) / static_cast<float>(width);
  const float inverse = rsqrtf(variance + eps);

  const int64_t group = row / modulation.rows_per_group;
  const float* scale = modulation.scale + group * modulation.scale_stride;
  const float* shift = modulation.shift + group * modulation.shift_stride;
  for (int i = first; i < width; i += step) {
    const Vec<In, kVec> values = load<In, kVec>(in + i);
    Vec<Out, kVec> normal;
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      float value = (to_float(values.v[j]) - mean) * inverse;
      if (weight != nullptr) value = value * weight[i + j] + bias[i + j];
      if (modulation.scale != nullptr) value = value * (1.0f + scale[i + j]) + shift[i + j];
      normal.v[j] = from_float<Out>(value);
    }
    store(y + row * width + i, normal);
  }
}

/// x, y [rows, width]; y may be x where both are of one type.
template <typename In, typename Out>
void layer_norm(const In* x, const float* weight, const float* bias, const Modulation& modulation,
                float eps, int64_t rows, int width, Out* y, cudaStream_t stream) {
  constexpr int kVec = kVecWidth<In> < kVecWidth<Out> ? kVecWidth<In> : kVecWidth<Out>;
  auto* kernel = can_vectorise<In>(width, x) && can_vectorise<Out>(0, y) && width % kVec == 0
                     ? layer_norm_kernel<In, Out, kVec>
                     : layer_norm_kernel<In, Out, 1>;
  launch("layer_norm", kernel, dim3(static_cast<unsigned>(rows)), dim3(kNormThreads),
         sizeof(LayerNormShared), stream, x, weight, bias, modulation, eps, width, y);
}

/// 1 / sqrt(mean(x^2) + eps) of one row, in every thread of a block of kNormThreads.
template <typename T, int kVec>
__device__ __forceinline__ float inverse_rms(const T* in, int width, float eps,
                                             BlockSum<kNormThreads>& shared) {
  float squares = 0.0f;
  for (int i = threadIdx.x * kVec; i < width; i += kNormThreads * kVec) {
    const Vec<T, kVec> values = load<T, kVec>(in + i);
#pragma unroll
    for (int j = 0; j < kVec; ++j) squares += to_float(values.v[j]) * to_float(values.v[j]);
  }
  return rsqrtf(block_sum(squares, shared) / static_cast<float>(width) + eps);
}

template <typename T, int kVec>
__global__ void __launch_bounds__(kNormThreads)
    rms_norm_kernel(const T* x, const float* weight, float eps, int width, T* y) {
  auto& shared = shared_memory<BlockSum<kNormThreads>>();
  const int64_t row = blockIdx.x;
  const float inverse = inverse_rms<T, kVec>(x + row * width, width, eps, shared);
  for (int i = threadIdx.x * kVec; i < width; i += kNormThreads * kVec) {
    Vec<T, kVec> values = load<T, kVec>(x + row * width + i);
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      values.v[j] = from_float<T>(to_float(values.v[j]) * inverse * weight[i + j]);
    }
    store(y + row * width + i, values);
  }
}

/// x, y [rows, width]; y may be x.
template <typename T>
void rms_norm(const T* x, const float* weight, float eps, int64_t rows, int width, T* y,
              cudaStream_t stream) {
  auto* kernel =
      can_vectorise<T>(width, x, y) ? rms_norm_kernel<T, kVecWidth<T>> : rms_norm_kernel<T, 1>;
  launch("rms_norm", kernel, dim3(static_cast<unsigned>(rows)), dim3(kNormThreads),
         sizeof(BlockSum<kNormThreads>), stream, x, weight, eps, width, y);
}

}  // namespace cuda
}  // namespace driftless
