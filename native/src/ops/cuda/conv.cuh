#pragma once

// Convolution as a matrix product whose left side is gathered from the picture on the way to
// shared memory (implicit GEMM), channels-last. With a 1x1 kernel it is a plain matrix product, the
// fallback where cuBLASLt is missing; with `kernel_t` > 1 it is causal in time.
//  - conv_staged.cuh: 16-bit elements on the tensor cores, copied by cp.async;
//  - conv_mma.cuh: the same for what has to be rounded or gathered one by one;
//  - conv_plain, here: f32 throughout, a thread per output; for parity runs.

#include <climits>

#include "ops/cuda/elementwise.cuh"

namespace driftless {
namespace cuda {

/// What is convolved with what. Column k of the gathered matrix is (dt, dy, dx, channel), channel
/// fastest, x2's channels after x's. Row m is output pixel (n, out_y, out_x); with four `phases` it
/// is pixel (n, y, x) of the small picture, and the phase says which of the four output pixels that
/// it becomes: of a 3x3 kernel on the picture enlarged by two (nearest neighbour) only 2x2 sums of
/// taps remain for each, 16 instead of 36 products.
template <typename In>
struct ConvInput {
  const In* x;               ///< [n, h, w, first]; n = clips * frames.
  const In* x2 = nullptr;    ///< [n, h, w, second].
  const In* past = nullptr;  ///< [clips, kernel_t - 1, h, w, first], earlier frames; null: zeros.
  int64_t n = 1;
  int h = 1, w = 1, out_h = 1, out_w = 1;
  int first = 0, second = 0, out = 0;
  int kernel = 1, kernel_t = 1, stride = 1;
  int up = 1;      ///< 2: the picture is enlarged (nearest neighbour) on the fly.
  int phases = 1;  ///< 4: see above; then kernel is 2, and stride and up are 1.
  int frames = 1;  ///< Of a clip.

  __host__ __device__ int channels() const { return first + second; }
  __host__ __device__ int depth() const { return kernel_t * kernel * kernel * channels(); }
  __host__ __device__ int row_h() const { return phases == 4 ? h : out_h; }
  __host__ __device__ int row_w() const { return phases == 4 ? w : out_w; }
  __host__ __device__ int64_t rows() const { return n * row_h() * row_w(); }
};

/// What one row of the product gathers: a window in space and time.
struct ConvPixel {
  int top, left;    ///< In the (enlarged) picture; far above it for a row that is none.
  int frame;        ///< Of x.
  int time;         ///< In its clip.
  int past_frames;  ///< Frames of `past` up to its clip's end.
};

template <typename In>
__device__ __forceinline__ ConvPixel conv_pixel(const ConvInput<In>& input, int64_t row,
                                                int phase = 0) {
  const int64_t line = row / input.row_w();
  const int frame = static_cast<int>(line / input.row_h()), clip = frame / input.frames;
  const int y = static_cast<int>(line % input.row_h()) * input.stride;
  const int x = static_cast<int>(row % input.row_w()) * input.stride;
  ConvPixel pixel;
  // A phase's window of two begins one before the pixel, or at it.
  pixel.top = row < input.rows() ? y - input.kernel / 2 + phase / 2 : INT_MIN / 2;
  pixel.left = x - input.kernel / 2 + phase % 2;
  pixel.frame = frame;
  pixel.time = frame - clip * input.frames;
  pixel.past_frames = (clip + 1) * (input.kernel_t - 1);
  return pixel;
}

/// The output pixel of one row of the product.
template <typename In>
__device__ __forceinline__ int64_t conv_place(const ConvInput<In>& input, int64_t row, int phase) {
  if (input.phases == 1) return row;
  const int64_t line = row / input.w;
  return ((line / input.h * 2 * input.h + line % input.h * 2 + phase / 2) * input.w +
          row % input.w) *
             2 +
         phase % 2;
}

/// One column of the gathered matrix, taken apart once and then moved on.
struct ConvColumn {
  int channel, dx = 0, dy = 0, dt = 0;

  /// Further by so many columns.
  template <typename In>
  __device__ __forceinline__ void move(const ConvInput<In>& input, int columns) {
    channel += columns;
    while (channel >= input.channels()) {
      channel -= input.channels();
      if (++dx < input.kernel) continue;
      dx = 0;
      if (++dy < input.kernel) continue;
      dy = 0;
      ++dt;
    }
  }
};

template <typename In>
__device__ __forceinline__ ConvColumn conv_column(const ConvInput<In>& input, int k) {
  const int tap = k / input.channels(), line = tap / input.kernel;
  return {k % input.channels(), tap % input.kernel, line % input.kernel, line / input.kernel};
}

/// Where a pixel's column lies in memory; null: it is zero.
template <typename In>
__device__ __forceinline__ const In* conv_source(const ConvInput<In>& input, const ConvPixel& pixel,
                                                 const ConvColumn& column) {
  const int y = pixel.top + column.dy, x = pixel.left + column.dx;
  if (column.dt >= input.kernel_t || y < 0 || y >= input.h * input.up || x < 0 ||
      x >= input.w * input.up) {
    return nullptr;
  }
  const int back = column.dt - (input.kernel_t - 1);
  const bool is_past = pixel.time + back < 0;
  const bool is_second = column.channel >= input.first;
  const int frame = is_past ? pixel.past_frames + pixel.time + back : pixel.frame + back;
  const In* from = is_past ? input.past : (is_second ? input.x2 : input.x);
  if (from == nullptr) return nullptr;
  const int width = is_second ? input.second : input.first;
  const int channel = is_second ? column.channel - input.first : column.channel;
  // What enlarges is 1 or 2.
  const int half = input.up - 1;
  const int64_t place = (int64_t{frame} * input.h + (y >> half)) * input.w + (x >> half);
  return from + place * width + channel;
}

// ---- Plain -------------------------------------------------------------------------------------

constexpr int kConvPlainThreads = 256;

template <typename In, typename Out>
__global__ void __launch_bounds__(kConvPlainThreads)
    conv_plain_kernel(ConvInput<In> input, const float* weight, LinearTail<Out> tail, Out* y) {
  const int64_t i = int64_t{blockIdx.x} * kConvPlainThreads + threadIdx.x;
  if (i >= input.rows() * input.out) return;
  const ConvPixel pixel = conv_pixel(input, i / input.out);
  const int depth = input.depth();
  const float* row = weight + i % input.out * depth;
  float sum[1] = {0.0f};
  ConvColumn column{0};
  for (int k = 0; k < depth; ++k, column.move(input, 1)) {
    const In* source = conv_source(input, pixel, column);
    if (source != nullptr) sum[0] += to_float(*source) * row[k];
  }
  tail(sum, i);
  y[i] = from_float<Out>(sum[0]);
}

/// As conv_mma with weights and products of f32.
template <typename In, typename Out>
void conv_plain(const ConvInput<In>& input, const float* weight, const LinearTail<Out>& tail,
                Out* y, cudaStream_t stream) {
  const int64_t count = input.rows() * input.out;
  launch("conv_plain", conv_plain_kernel<In, Out>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(count, kConvPlainThreads))),
         dim3(kConvPlainThreads), 0, stream, input, weight, tail, y);
}

}  // namespace cuda
}  // namespace driftless
