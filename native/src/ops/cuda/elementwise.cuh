#pragma once

// One value in, one value out: activations, the epilogue of a matrix product, the sampler's
// arithmetic, bytes to numbers and back. All are functors run by one vectorised kernel.

#include <type_traits>

#include "ops/cuda/platform.cuh"
#include "ops/ops.h"

namespace driftless {
namespace cuda {

constexpr int kMapThreads = 256;

/// tanh-approximated GELU as x * sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3): the same value
/// with one exponential.
__device__ __forceinline__ float activation_of(Activation activation, float x) {
  switch (activation) {
    case Activation::relu:
      return x > 0.0f ? x : 0.0f;
    case Activation::silu:
      return x / (1.0f + expf(-x));
    case Activation::gelu_tanh:
      return x / (1.0f + expf(-1.5957691216057308f * (x + 0.044715f * x * x * x)));
    default:
      return x;
  }
}

/// The same of several, which choose together.
template <int kVec>
__device__ __forceinline__ void activate(Activation activation, float (&v)[kVec]) {
  const auto each = [&](auto same) {
#pragma unroll
    for (int j = 0; j < kVec; ++j) v[j] = activation_of(decltype(same)::value, v[j]);
  };
  if (activation == Activation::relu) {
    each(std::integral_constant<Activation, Activation::relu>());
  } else if (activation == Activation::silu) {
    each(std::integral_constant<Activation, Activation::silu>());
  } else if (activation == Activation::gelu_tanh) {
    each(std::integral_constant<Activation, Activation::gelu_tanh>());
  }
}

/// A functor takes kVec neighbouring values and the index of the first.
template <typename In, typename Out, int kVec, typename Function>
__global__ void __launch_bounds__(kMapThreads)
    map_kernel(const In* x, Out* y, int64_t count, Function function) {
  const int64_t step = int64_t{gridDim.x} * kMapThreads * kVec;
  for (int64_t i = (int64_t{blockIdx.x} * kMapThreads + threadIdx.x) * kVec; i < count; i += step) {
    const Vec<In, kVec> in = load<In, kVec>(x + i);
    float values[kVec];
#pragma unroll
    for (int j = 0; j < kVec; ++j) values[j] = to_float(in.v[j]);
    function(values, i);
    Vec<Out, kVec> out;
#pragma unroll
    for (int j = 0; j < kVec; ++j) out.v[j] = from_float<Out>(values[j]);
    store(y + i, out);
  }
}

/// y[i] = function(x[i], i) for `count` values in rows of `width` (a functor's vector never spans
/// two rows); y may be x.
template <typename In, typename Out, typename Function>
void map(const char* name, const In* x, Out* y, int64_t count, int64_t width,
         const Function& function, cudaStream_t stream) {
  constexpr int kVec = kVecWidth<In> < kVecWidth<Out> ? kVecWidth<In> : kVecWidth<Out>;
  // Enough blocks to fill any card; each goes on with the next part.
  constexpr int64_t kMostBlocks = 8192;
  const bool wide =
      can_vectorise<In>(0, x) && can_vectorise<Out>(0, y) && width % kVec == 0 && count % kVec == 0;
  auto* kernel = wide ? map_kernel<In, Out, kVec, Function> : map_kernel<In, Out, 1, Function>;
  const int64_t blocks = ceil_div<int64_t>(count, int64_t{kMapThreads} * (wide ? kVec : 1));
  launch(name, kernel, dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks)),
         dim3(kMapThreads), 0, stream, x, y, count, function);
}

struct Activate {
  Activation activation;
  template <int kVec>
  __device__ __forceinline__ void operator()(float (&v)[kVec], int64_t) const {
    activate(activation, v);
  }
};

/// What follows a matrix product: residual + gate * activation(scale * x + bias); the residual of a
/// convolution is added before the activation.
template <typename T>
struct LinearTail {
  const float* bias = nullptr;  ///< [width] or null.
  Activation activation = Activation::none;
  const float* gate =
      nullptr;  ///< A vector per `rows_per_gate` rows, `gate_stride` apart; or null.
  int64_t gate_stride = 0, rows_per_gate = 1;
  const T* residual = nullptr;  ///< [rows, width] or null; may be the output.
  bool residual_first = false;  ///< As a convolution's.
  int64_t width = 1;
  const float* scale = nullptr;  ///< One value on the device, or null for 1.

  /// Of kVec neighbours in a row; `before` is their residual, zeros for none.
  template <int kVec>
  __device__ __forceinline__ void apply(float (&v)[kVec], const float (&before)[kVec], int64_t row,
                                        int64_t column) const {
    if (scale != nullptr) {
      const float factor = *scale;
#pragma unroll
      for (int j = 0; j < kVec; ++j) v[j] *= factor;
    }
    if (bias != nullptr) {
#pragma unroll
      for (int j = 0; j < kVec; ++j) v[j] += bias[column + j];
    }
#pragma unroll
    for (int j = 0; j < kVec; ++j) v[j] += residual_first ? before[j] : 0.0f;
    activate(activation, v);
    if (gate != nullptr) {
      const float* gates = gate + row / rows_per_gate * gate_stride + column;
#pragma unroll
      for (int j = 0; j < kVec; ++j) v[j] *= gates[j];
    }
#pragma unroll
    for (int j = 0; j < kVec; ++j) v[j] += residual_first ? 0.0f : before[j];
  }

  template <int kVec>
  __device__ __forceinline__ void operator()(float (&v)[kVec], int64_t i) const {
    float before[kVec] = {};
    if (residual != nullptr) {
#pragma unroll
      for (int j = 0; j < kVec; ++j) before[j] = to_float(residual[i + j]);
    }
    apply(v, before, i / width, i % width);
  }
};

/// y [groups, width] = gate * bias, gates `stride` apart: the bias of a product whose sums a
/// library multiplies by the gate alone.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    gated_bias_kernel(const float* gate, int64_t stride, const float* bias, int width, float* y) {
  const int column = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (column >= width) return;
  const int64_t group = blockIdx.y;
  y[group * width + column] = gate[group * stride + column] * bias[column];
}

inline void gated_bias(const float* gate, int64_t stride, int64_t groups, const float* bias,
                       int64_t width, float* y, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(ceil_div<int64_t>(width, kMapThreads)),
                  static_cast<unsigned>(groups));
  launch("gated_bias", gated_bias_kernel<kMapThreads>, grid, dim3(kMapThreads), 0, stream, gate,
         stride, bias, static_cast<int>(width), y);
}

/// tanh(x / limit) * limit.
struct TanhClamp {
  float limit;
  template <int kVec>
  __device__ __forceinline__ void operator()(float (&v)[kVec], int64_t) const {
#pragma unroll
    for (int j = 0; j < kVec; ++j) v[j] = tanhf(v[j] / limit) * limit;
  }
};

/// Within [low, high]; NaN becomes low.
struct Clamp {
  float low, high;
  template <int kVec>
  __device__ __forceinline__ void operator()(float (&v)[kVec], int64_t) const {
#pragma unroll
    for (int j = 0; j < kVec; ++j) v[j] = v[j] > low ? (v[j] < high ? v[j] : high) : low;
  }
};

/// a * x + b * y: noising, blending, and x0 from flow (a = 1, b = -sigma).
template <typename T>
struct Axpby {
  float a, b;
  const T* y;
  template <int kVec>
  __device__ __forceinline__ void operator()(float (&v)[kVec], int64_t i) const {
#pragma unroll
    for (int j = 0; j < kVec; ++j) v[j] = a * v[j] + b * to_float(y[i + j]);
  }
};

/// The same with factors that live on the device, one pair per `count_per_pair` values: a row's
/// noise level can change without a new launch sequence.
template <typename T>
struct AxpbyOfRows {
  const Vec<float, 2>* factors;
  int64_t count_per_pair;
  const T* y;
  template <int kVec>
  __device__ __forceinline__ void operator()(float (&v)[kVec], int64_t i) const {
    const Vec<float, 2> factor = factors[i / count_per_pair];
#pragma unroll
    for (int j = 0; j < kVec; ++j) v[j] = factor.v[0] * v[j] + factor.v[1] * to_float(y[i + j]);
  }
};

/// x * scale[c] + shift[c], either null.
struct AffineChannels {
  const float* scale;
  const float* shift;
  int64_t width;
  template <int kVec>
  __device__ __forceinline__ void operator()(float (&v)[kVec], int64_t i) const {
    const int64_t column = i % width;
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      if (scale != nullptr) v[j] *= scale[column + j];
      if (shift != nullptr) v[j] += shift[column + j];
    }
  }
};

__device__ __forceinline__ float to_float(uint8_t x) { return static_cast<float>(x); }
/// Clamped, ties to even; NaN becomes 0.
template <>
__device__ __forceinline__ uint8_t from_float<uint8_t>(float x) {
  const float clamped = x > 0.0f ? (x < 255.0f ? x : 255.0f) : 0.0f;
  return static_cast<uint8_t>(rintf(clamped));
}

/// Byte to number: x / 255 * scale + shift.
struct FromBytes {
  float scale, shift;
  template <int kVec>
  __device__ __forceinline__ void operator()(float (&v)[kVec], int64_t) const {
#pragma unroll
    for (int j = 0; j < kVec; ++j) v[j] = v[j] / 255.0f * scale + shift;
  }
};

/// Number to byte, before the clamping: (x * scale + shift) * 255.
struct ToBytes {
  float scale, shift;
  template <int kVec>
  __device__ __forceinline__ void operator()(float (&v)[kVec], int64_t) const {
#pragma unroll
    for (int j = 0; j < kVec; ++j) v[j] = (v[j] * scale + shift) * 255.0f;
  }
};

/// Same value, another type.
struct Convert {
  template <int kVec>
  __device__ __forceinline__ void operator()(float (&)[kVec], int64_t) const {}
};

}  // namespace cuda
}  // namespace driftless
