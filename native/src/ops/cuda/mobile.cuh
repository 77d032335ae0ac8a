#pragma once

// What MobileNet-like segmentation networks need beside the other operations, see ops/mobile_ops.h.
// One small picture at a time: none of it is where a GPU's time goes.

#include "ops/cuda/reduce.cuh"
#include "ops/mobile_ops.h"

namespace driftless {
namespace cuda {

constexpr int kMobileThreads = 128;

inline unsigned mobile_blocks(int64_t count) {
  return static_cast<unsigned>(ceil_div<int64_t>(count, kMobileThreads));
}

__device__ __forceinline__ float mobile_activate(MobileActivation activation, float x) {
  if (activation == MobileActivation::relu) return x > 0.0f ? x : 0.0f;
  if (activation == MobileActivation::hard_swish) {
    const float gate = x + 3.0f;
    return x * (gate > 0.0f ? (gate < 6.0f ? gate : 6.0f) : 0.0f) * (1.0f / 6.0f);
  }
  if (activation == MobileActivation::sigmoid) return 1.0f / (1.0f + expf(-x));
  return x;
}

/// An input, the windows that a kernel of k x k looks through, and where they lie.
struct Windows {
  int h, w, c, kernel, stride;
  int out_h, out_w, above, left;  ///< Rows and columns that the first window has outside.
};

template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    patches_kernel(const uint8_t* picture, Windows s, int64_t count, float* y) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  const int channel = static_cast<int>(i % s.c);
  const int64_t tap = i / s.c;
  const int kx = static_cast<int>(tap % s.kernel), ky = static_cast<int>(tap / s.kernel % s.kernel);
  const int64_t place = tap / (s.kernel * s.kernel);
  const int row = static_cast<int>(place / s.out_w) * s.stride - s.above + ky;
  const int column = static_cast<int>(place % s.out_w) * s.stride - s.left + kx;
  const bool inside = row >= 0 && row < s.h && column >= 0 && column < s.w;
  y[i] = inside ? picture[(int64_t{row} * s.w + column) * s.c + channel] / 255.0f : 0.0f;
}

/// y [out_h, out_w, kernel, kernel, c].
inline void patches(const uint8_t* picture, const Windows& s, float* y, cudaStream_t stream) {
  const int64_t count = int64_t{s.out_h} * s.out_w * s.kernel * s.kernel * s.c;
  launch("patches", patches_kernel<kMobileThreads>, dim3(mobile_blocks(count)),
         dim3(kMobileThreads), 0, stream, picture, s, count, y);
}

template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    depthwise_kernel(const float* x, const float* weight, const float* bias, Windows s,
                     MobileActivation activation, int64_t count, float* y) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  const int channel = static_cast<int>(i % s.c);
  const int64_t place = i / s.c;
  const int top = static_cast<int>(place / s.out_w) * s.stride - s.above;
  const int left = static_cast<int>(place % s.out_w) * s.stride - s.left;
  float sum = bias[channel];
  for (int ky = 0; ky < s.kernel; ++ky) {
    if (top + ky < 0 || top + ky >= s.h) continue;
    for (int kx = 0; kx < s.kernel; ++kx) {
      if (left + kx < 0 || left + kx >= s.w) continue;
      sum += x[(int64_t{top + ky} * s.w + left + kx) * s.c + channel] *
             weight[(ky * s.kernel + kx) * s.c + channel];
    }
  }
  y[i] = mobile_activate(activation, sum);
}

/// x [h, w, c], weight [kernel, kernel, c] -> y [out_h, out_w, c].
inline void depthwise(const float* x, const float* weight, const float* bias, const Windows& s,
                      MobileActivation activation, float* y, cudaStream_t stream) {
  const int64_t count = int64_t{s.out_h} * s.out_w * s.c;
  launch("depthwise", depthwise_kernel<kMobileThreads>, dim3(mobile_blocks(count)),
         dim3(kMobileThreads), 0, stream, x, weight, bias, s, activation, count, y);
}

/// y = activation(x * scale + addend), by channels; scale and addend may be null.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    scale_channels_kernel(const float* x, const float* scale, const float* addend, int c,
                          MobileActivation activation, int64_t count, float* y) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  float value = x[i];
  if (scale != nullptr) value *= scale[i % c];
  if (addend != nullptr) value += addend[i];
  y[i] = mobile_activate(activation, value);
}

inline void scale_channels(const float* x, const float* scale, const float* addend, int c,
                           MobileActivation activation, int64_t count, float* y,
                           cudaStream_t stream) {
  launch("scale_channels", scale_channels_kernel<kMobileThreads>, dim3(mobile_blocks(count)),
         dim3(kMobileThreads), 0, stream, x, scale, addend, c, activation, count, y);
}

/// A block for each channel.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    global_average_kernel(const float* x, int64_t pixels, int c, float* y) {
  auto& shared = shared_memory<Parts<double>>();
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < pixels; i += kThreads) sum += x[i * c + blockIdx.x];
  sum = block_total(sum, shared);
  if (threadIdx.x == 0) y[blockIdx.x] = static_cast<float>(sum / static_cast<double>(pixels));
}

/// x [pixels, c] -> y [c].
inline void global_average(const float* x, int64_t pixels, int c, float* y, cudaStream_t stream) {
  launch("global_average", global_average_kernel<kReduceThreads>, dim3(static_cast<unsigned>(c)),
         dim3(kReduceThreads), sizeof(Parts<double>), stream, x, pixels, c, y);
}

template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    transposed2_kernel(const float* x, const float* weight, const float* bias, int w, int c,
                       MobileActivation activation, int64_t count, float* y) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  const int row = static_cast<int>(i / (2 * w)), column = static_cast<int>(i % (2 * w));
  const float* from = x + (int64_t{row / 2} * w + column / 2) * c;
  const float* taps = weight + int64_t{row % 2 * 2 + column % 2} * c;
  float sum = bias[0];
  for (int channel = 0; channel < c; ++channel) sum += from[channel] * taps[channel];
  y[i] = mobile_activate(activation, sum);
}

/// x [h, w, c], weight [2, 2, c] -> y [2h, 2w].
inline void transposed2(const float* x, const float* weight, const float* bias, int h, int w, int c,
                        MobileActivation activation, float* y, cudaStream_t stream) {
  const int64_t count = int64_t{4} * h * w;
  launch("transposed2", transposed2_kernel<kMobileThreads>, dim3(mobile_blocks(count)),
         dim3(kMobileThreads), 0, stream, x, weight, bias, w, c, activation, count, y);
}

}  // namespace cuda
}  // namespace driftless
