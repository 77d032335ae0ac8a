#pragma once

// Convolution as a matrix product whose left side is gathered from the picture on the way to
// shared memory (implicit GEMM), channels-last. With a 1x1 kernel it is a plain matrix product, the
// fallback where cuBLASLt is missing; with `kernel_t` > 1 it is causal in time.
//  - conv_mma: products of 16-bit elements on the tensor cores, f32 sums;
//  - conv_plain: f32 throughout, a thread per output; for parity runs.

#include "ops/cuda/elementwise.cuh"
#include "ops/cuda/ptx.cuh"

namespace driftless {
namespace cuda {

/// What is convolved with what. Output row m is pixel (n, out_y, out_x); column k of the gathered
/// matrix is (dt, dy, dx, channel), channel fastest, x2's channels after x's.
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
  int frames = 1;  ///< Of a clip.

  __host__ __device__ int channels() const { return first + second; }
  __host__ __device__ int depth() const { return kernel_t * kernel * kernel * channels(); }
  __host__ __device__ int64_t rows() const { return n * out_h * out_w; }
};

/// The output pixel of one row of the product.
struct ConvPixel {
  int64_t frame = 0;
  int top = 0, left = 0;  ///< Of the window, in the (enlarged) picture.
  bool valid = false;
};

template <typename In>
__device__ __forceinline__ ConvPixel conv_pixel(const ConvInput<In>& input, int64_t row) {
  ConvPixel pixel;
  pixel.valid = row < input.rows();
  const int64_t line = row / input.out_w;
  pixel.frame = line / input.out_h;
  pixel.top = static_cast<int>(line % input.out_h) * input.stride - input.kernel / 2;
  pixel.left = static_cast<int>(row % input.out_w) * input.stride - input.kernel / 2;
  return pixel;
}

/// Where column k of a pixel's row lies in memory; null: it is zero.
template <typename In>
__device__ __forceinline__ const In* conv_source(const ConvInput<In>& input, const ConvPixel& pixel,
                                                 int k) {
  if (!pixel.valid || k >= input.depth()) return nullptr;
  const int channels = input.channels();
  const int tap = k / channels, channel = k % channels;
  const int y = pixel.top + tap / input.kernel % input.kernel, x = pixel.left + tap % input.kernel;
  if (y < 0 || y >= input.h * input.up || x < 0 || x >= input.w * input.up) return nullptr;
  const int64_t place = int64_t{y / input.up} * input.w + x / input.up;
  const int64_t size = int64_t{input.h} * input.w;
  if (input.kernel_t == 1) {
    if (channel < input.first) {
      return input.x + (pixel.frame * size + place) * input.first + channel;
    }
    return input.x2 + (pixel.frame * size + place) * input.second + channel - input.first;
  }
  const int before = input.kernel_t - 1;
  const int64_t clip = pixel.frame / input.frames;
  const int64_t time = pixel.frame % input.frames + tap / (input.kernel * input.kernel) - before;
  if (time >= 0) {
    return input.x + ((clip * input.frames + time) * size + place) * input.first + channel;
  }
  if (input.past == nullptr) return nullptr;
  return input.past + ((clip * before + time + before) * size + place) * input.first + channel;
}

/// act(x + bias + residual).
template <typename T>
struct ConvTail {
  const float* bias = nullptr;  ///< [width] or null.
  const T* residual = nullptr;  ///< Like the output, which it may be; or null.
  Activation activation = Activation::none;
  int64_t width = 1;

  template <int kVec>
  __device__ __forceinline__ void operator()(float (&v)[kVec], int64_t i) const {
    const int64_t column = i % width;
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      if (bias != nullptr) v[j] += bias[column + j];
      if (residual != nullptr) v[j] += to_float(residual[i + j]);
      v[j] = activation_of(activation, v[j]);
    }
  }
};

// ---- Tensor cores ------------------------------------------------------------------------------

constexpr int kConvThreads = 128;  // Four warps, each 32 rows by 32 columns.
/// Resident blocks to plan registers for: left alone, the assembler aims at more and spills.
constexpr int kConvBlocks = 3;
constexpr int kConvRows = 64, kConvColumns = 64, kConvDepth = 32;
constexpr int kConvChunks = kConvDepth / 8;  // Of 16 bytes, in a row of a tile.
constexpr int kConvLoads = kConvRows * kConvChunks / kConvThreads;

template <typename T>
struct ConvShared {
  T a[2][kConvRows * kConvDepth];
  T b[2][kConvColumns * kConvDepth];
};

/// Two rows share 128 bytes, so every second row turns the chunks by one more.
__device__ __forceinline__ int conv_swizzled(int row, int chunk) {
  return row * kConvDepth + (chunk ^ (row / 2 & 3)) * 8;
}

/// Eight neighbouring values as T.
template <typename T, typename In>
__device__ __forceinline__ Vec<T, 8> load8(const In* from) {
  Vec<T, 8> to;
  constexpr int kVec = kVecWidth<In> < 8 ? kVecWidth<In> : 8;
#pragma unroll
  for (int i = 0; i < 8; i += kVec) {
    const Vec<In, kVec> part = load<In, kVec>(from + i);
#pragma unroll
    for (int j = 0; j < kVec; ++j) to.v[i + j] = from_float<T>(to_float(part.v[j]));
  }
  return to;
}

/// kWide: both inputs have a multiple of 8 channels and start at multiples of 16 bytes, so eight
/// columns come from one place. Products are of T. weight [out, depth].
template <typename In, typename T, typename W, bool kWide, typename Tail, typename Out>
__global__ void __launch_bounds__(kConvThreads, kConvBlocks)
    conv_mma_kernel(ConvInput<In> input, const W* weight, Tail tail, Out* y) {
  auto& shared = shared_memory<ConvShared<T>>();
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  const int64_t first_row = int64_t{blockIdx.x} * kConvRows;
  const int first_column = blockIdx.y * kConvColumns;
  const int depth = input.depth();

  ConvPixel pixels[kConvLoads];
#pragma unroll
  for (int i = 0; i < kConvLoads; ++i) {
    pixels[i] = conv_pixel(input, first_row + (threadIdx.x + i * kConvThreads) / kConvChunks);
  }
  Vec<T, 8> a[kConvLoads], b[kConvLoads];
  const auto fetch = [&](int from) {
#pragma unroll
    for (int i = 0; i < kConvLoads; ++i) {
      const int at = threadIdx.x + i * kConvThreads;
      const int k = from + at % kConvChunks * 8;
      const int column = first_column + at / kConvChunks;
      const W* row = weight + int64_t{column} * depth + k;
      if (kWide) {
        const In* source = conv_source(input, pixels[i], k);
        a[i] = source != nullptr ? load8<T>(source) : Vec<T, 8>{};
        b[i] = column < input.out && k < depth ? load8<T>(row) : Vec<T, 8>{};
      } else {
#pragma unroll
        for (int j = 0; j < 8; ++j) {
          const In* source = conv_source(input, pixels[i], k + j);
          a[i].v[j] = from_float<T>(source != nullptr ? to_float(*source) : 0.0f);
          const bool inside = column < input.out && k + j < depth;
          b[i].v[j] = from_float<T>(inside ? to_float(row[j]) : 0.0f);
        }
      }
    }
  };

  // A warp's quarter of the tile as fragments of 16 rows by 8 columns.
  const int warp_row = warp / 2 * 32, warp_column = warp % 2 * 32;
  float sums[2][4][4] = {};
  fetch(0);
  for (int from = 0, stage = 0; from < depth; from += kConvDepth, stage = 1 - stage) {
#pragma unroll
    for (int i = 0; i < kConvLoads; ++i) {
      const int at = threadIdx.x + i * kConvThreads;
      const int place = conv_swizzled(at / kConvChunks, at % kConvChunks);
      store(shared.a[stage] + place, a[i]);
      store(shared.b[stage] + place, b[i]);
    }
    // The only barrier of a turn: whoever is past the next one has read this stage.
    __syncthreads();
    if (from + kConvDepth < depth) fetch(from + kConvDepth);
#pragma unroll
    for (int step = 0; step < kConvDepth / 16; ++step) {
      uint32_t left[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int row = warp_row + i * 16 + lane % 16;
        ldmatrix_x4(left[i], shared.a[stage] + conv_swizzled(row, step * 2 + lane / 16));
      }
#pragma unroll
      for (int pair = 0; pair < 2; ++pair) {
        uint32_t right[4];
        const int row = warp_column + pair * 16 + lane / 16 * 8 + lane % 8;
        ldmatrix_x4(right, shared.b[stage] + conv_swizzled(row, step * 2 + lane / 8 % 2));
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          mma_m16n8k16<T>(sums[i][2 * pair], left[i], right[0], right[1]);
          mma_m16n8k16<T>(sums[i][2 * pair + 1], left[i], right[2], right[3]);
        }
      }
    }
  }

#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t row = first_row + warp_row + i * 16 + half * 8 + lane / 4;
      if (row >= input.rows()) continue;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int column = first_column + warp_column + j * 8 + lane % 4 * 2;
        const int64_t at = row * input.out + column;
        if (column + 1 < input.out && input.out % 2 == 0) {
          float values[2] = {sums[i][j][2 * half], sums[i][j][2 * half + 1]};
          tail(values, at);
          store(y + at, Vec<Out, 2>{{from_float<Out>(values[0]), from_float<Out>(values[1])}});
        } else {
          for (int single = 0; single < 2 && column + single < input.out; ++single) {
            float value[1] = {sums[i][j][2 * half + single]};
            tail(value, at + single);
            y[at + single] = from_float<Out>(value[0]);
          }
        }
      }
    }
  }
}

/// y [n, out_h, out_w, out] = tail(conv(input)) with products of T, bf16 or f16; weight
/// [out, kernel_t, kernel, kernel, channels], of T, or of 8 bits where x is wide.
template <typename T, typename W, typename In, typename Tail, typename Out>
void conv_mma(const ConvInput<In>& input, const W* weight, const Tail& tail, Out* y,
              cudaStream_t stream) {
  const bool wide = input.first % 8 == 0 && input.second % 8 == 0 &&
                    can_vectorise<In>(0, input.x, input.x2, input.past) &&
                    can_vectorise<W>(0, weight);
  auto* kernel = conv_mma_kernel<In, T, W, true, Tail, Out>;
  if constexpr (sizeof(W) == 1) {
    DL_CHECK(wide, "channels of a product with weights of 8 bits", "a multiple of 8, aligned",
             input.first);
  } else if (!wide) {
    kernel = conv_mma_kernel<In, T, W, false, Tail, Out>;
  }
  launch("conv_mma", kernel,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(input.rows(), kConvRows)),
              static_cast<unsigned>(ceil_div(input.out, kConvColumns))),
         dim3(kConvThreads), sizeof(ConvShared<T>), stream, input, weight, tail, y);
}

// ---- Plain -------------------------------------------------------------------------------------

constexpr int kConvPlainThreads = 256;

template <typename In, typename Tail>
__global__ void __launch_bounds__(kConvPlainThreads)
    conv_plain_kernel(ConvInput<In> input, const float* weight, Tail tail, In* y) {
  const int64_t i = int64_t{blockIdx.x} * kConvPlainThreads + threadIdx.x;
  if (i >= input.rows() * input.out) return;
  const ConvPixel pixel = conv_pixel(input, i / input.out);
  const int depth = input.depth();
  const float* row = weight + i % input.out * depth;
  float sum[1] = {0.0f};
  for (int k = 0; k < depth; ++k) {
    const In* source = conv_source(input, pixel, k);
    if (source != nullptr) sum[0] += to_float(*source) * row[k];
  }
  tail(sum, i);
  y[i] = from_float<In>(sum[0]);
}

/// As conv_mma with weights and products of f32.
template <typename In, typename Tail>
void conv_plain(const ConvInput<In>& input, const float* weight, const Tail& tail, In* y,
                cudaStream_t stream) {
  const int64_t count = input.rows() * input.out;
  launch("conv_plain", conv_plain_kernel<In, Tail>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(count, kConvPlainThreads))),
         dim3(kConvPlainThreads), 0, stream, input, weight, tail, y);
}

}  // namespace cuda
}  // namespace driftless
