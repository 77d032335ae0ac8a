#pragma once

// Small products, sums and embeddings; none of them is where the time goes.

#include "ops/cuda/platform.cuh"
#include "ops/ops.h"

namespace driftless {
namespace cuda {

constexpr int kReduceThreads = 256;

template <typename T, typename Out>
__global__ void __launch_bounds__(kReduceThreads)
    mean_rows_kernel(const T* x, int64_t rows, int64_t width, Out* y) {
  const int64_t i = int64_t{blockIdx.x} * kReduceThreads + threadIdx.x;
  if (i >= width) return;
  double sum = 0.0;
  for (int64_t row = 0; row < rows; ++row) sum += to_float(x[row * width + i]);
  y[i] = from_float<Out>(static_cast<float>(sum / static_cast<double>(rows)));
}

/// x [rows, width] -> y [width].
template <typename T, typename Out>
void mean_rows(const T* x, int64_t rows, int64_t width, Out* y, cudaStream_t stream) {
  launch("mean_rows", mean_rows_kernel<T, Out>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(width, kReduceThreads))),
         dim3(kReduceThreads), 0, stream, x, rows, width, y);
}

template <typename T>
__global__ void __launch_bounds__(kReduceThreads)
    mix_channels_kernel(const T* x, const float* matrix, int64_t count, int in, int out, T* y) {
  const int64_t i = int64_t{blockIdx.x} * kReduceThreads + threadIdx.x;
  if (i >= count) return;
  const T* row = x + i / out * in;
  const float* weights = matrix + i % out * in;
  float sum = 0.0f;
  for (int c = 0; c < in; ++c) sum += to_float(row[c]) * weights[c];
  y[i] = from_float<T>(sum);
}

/// x [rows, in] -> y [rows, out] with matrix [out, in]; y may not be x.
template <typename T>
void mix_channels(const T* x, const float* matrix, int64_t rows, int in, int out, T* y,
                  cudaStream_t stream) {
  launch("mix_channels", mix_channels_kernel<T>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(rows * out, kReduceThreads))),
         dim3(kReduceThreads), 0, stream, x, matrix, rows * out, in, out, y);
}

template <int kThreads>
__global__ void timestep_embedding_kernel(const double* t, int64_t count, int half, float* y) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  const int at = static_cast<int>(i % half);
  const double angle = t[i / half] * pow(10000.0, -static_cast<double>(at) / half);
  float* row = y + i / half * 2 * half;
  row[at] = static_cast<float>(cos(angle));
  row[half + at] = static_cast<float>(sin(angle));
}

/// t [n] on the device -> y [n, 2 * half], cosines then sines.
inline void timestep_embedding(const double* t, int64_t n, int half, float* y,
                               cudaStream_t stream) {
  launch("timestep_embedding", timestep_embedding_kernel<kReduceThreads>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(n * half, kReduceThreads))),
         dim3(kReduceThreads), 0, stream, t, n * half, half, y);
}

/// What each thread of a block adds to a sum.
template <typename T>
struct Parts {
  T partial[kReduceThreads];
};

/// Sum over the block, in every thread, in the same order whatever the threads' order is.
template <typename T>
__device__ __forceinline__ T block_total(T x, Parts<T>& shared) {
  __syncthreads();  // Whoever still reads the total before this one.
  shared.partial[threadIdx.x] = x;
  for (unsigned active = kReduceThreads / 2; active > 0; active /= 2) {
    __syncthreads();
    if (threadIdx.x < active) shared.partial[threadIdx.x] += shared.partial[threadIdx.x + active];
  }
  __syncthreads();
  return shared.partial[0];
}

/// Each block's part of a sum that does not depend on the order in which blocks run.
template <typename T>
__global__ void __launch_bounds__(kReduceThreads)
    square_differences_kernel(const T* a, const T* b, int64_t count, double* sums) {
  auto& shared = shared_memory<Parts<double>>();
  double sum = 0.0;
  const int64_t step = int64_t{gridDim.x} * kReduceThreads;
  for (int64_t i = int64_t{blockIdx.x} * kReduceThreads + threadIdx.x; i < count; i += step) {
    const double difference = static_cast<double>(to_float(a[i])) - to_float(b[i]);
    sum += difference * difference;
  }
  sum = block_total(sum, shared);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// One block for each channel: its mean, then the spread about it.
template <typename T>
__global__ void __launch_bounds__(kReduceThreads)
    channel_moments_kernel(const T* x, int64_t rows, int width, float* y) {
  auto& shared = shared_memory<Parts<double>>();
  const int channel = blockIdx.x;
  double sum = 0.0;
  for (int64_t r = threadIdx.x; r < rows; r += kReduceThreads)
    sum += to_float(x[r * width + channel]);
  const double mean = block_total(sum, shared) / static_cast<double>(rows);
  double squares = 0.0;
  for (int64_t r = threadIdx.x; r < rows; r += kReduceThreads) {
    const double away = to_float(x[r * width + channel]) - mean;
    squares += away * away;
  }
  const double variance = block_total(squares, shared) / static_cast<double>(rows);
  if (threadIdx.x == 0) {
    y[channel] = static_cast<float>(mean);
    y[width + channel] = static_cast<float>(log(sqrt(variance) + kTinySpread));
  }
}

/// x [rows, width] -> y [2, width]: mean and ln(deviation + kTinySpread) of each channel.
template <typename T>
void channel_moments(const T* x, int64_t rows, int width, float* y, cudaStream_t stream) {
  launch("channel_moments", channel_moments_kernel<T>, dim3(static_cast<unsigned>(width)),
         dim3(kReduceThreads), sizeof(Parts<double>), stream, x, rows, width, y);
}

constexpr int kDifferenceBlocks = 64;

/// sums [kDifferenceBlocks]: their total is the sum of (a - b)^2 over `count` values.
template <typename T>
void square_differences(const T* a, const T* b, int64_t count, double* sums, cudaStream_t stream) {
  launch("square_differences", square_differences_kernel<T>, dim3(kDifferenceBlocks),
         dim3(kReduceThreads), sizeof(Parts<double>), stream, a, b, count, sums);
}

}  // namespace cuda
}  // namespace driftless
