#pragma once

// Convolution on the tensor cores, gathered through registers: for pictures that are rounded on
// their way (f32), for channels that do not come in eights, and for weights of 8 bits.

#include <type_traits>

#include "ops/cuda/conv.cuh"
#include "ops/cuda/ptx.cuh"

namespace driftless {
namespace cuda {

constexpr int kConvThreads = 128;  // Four warps, each 32 rows by 32 columns.
/// Resident blocks to plan registers for: left alone, the assembler aims at more and spills.
constexpr int kConvBlocks = 3;
constexpr int kConvRows = 64, kConvColumns = 64, kConvDepth = 32;
constexpr int kConvChunks = kConvDepth / 8;  // Of 16 bytes, in a row of a tile.
constexpr int kConvLoads = kConvRows * kConvChunks / kConvThreads;

/// When all is summed up the sums take its place.
template <typename T>
struct alignas(16) ConvShared {
  T a[2][kConvRows * kConvDepth];
  T b[2][kConvColumns * kConvDepth];
};
static_assert(sizeof(ConvShared<bf16>) >= sizeof(float) * kConvRows * kConvColumns, "too small");

/// Two rows share 128 bytes, so every second row turns the chunks by one more.
__device__ __forceinline__ int conv_swizzled(int row, int chunk) {
  return row * kConvDepth + (chunk ^ (row / 2 & 3)) * 8;
}

template <typename T>
struct Eight {
  T v[8];
};

/// Eight neighbouring values as T.
template <typename T, typename In>
__device__ __forceinline__ Eight<T> load8(const In* from) {
  Eight<T> to;
  constexpr int kVec = kVecWidth<In> < 8 ? kVecWidth<In> : 8;
#pragma unroll
  for (int i = 0; i < 8; i += kVec) {
    const Vec<In, kVec> part = load<In, kVec>(from + i);
#pragma unroll
    for (int j = 0; j < kVec; ++j) to.v[i + j] = from_float<T>(to_float(part.v[j]));
  }
  return to;
}

/// And back.
template <typename Out, typename T>
__device__ __forceinline__ void store8(Out* to, const Eight<T>& from) {
  constexpr int kVec = kVecWidth<Out> < 8 ? kVecWidth<Out> : 8;
#pragma unroll
  for (int i = 0; i < 8; i += kVec) {
    Vec<Out, kVec> part;
#pragma unroll
    for (int j = 0; j < kVec; ++j) part.v[j] = from_float<Out>(to_float(from.v[i + j]));
    store(to + i, part);
  }
}

/// A block's sums on their way to the picture: chunks of eight columns, turned by the row so that
/// the rows of a fragment lie in different banks.
template <int kColumns>
__device__ __forceinline__ int sums_place(int row, int column) {
  constexpr int kChunks = kColumns / 8;
  return row * kColumns + (column / 8 ^ row % kChunks) * 8 + column % 8;
}

/// kRows by kColumns sums of a block through shared memory into the picture. A warp's are 32 rows
/// by 8 * kFragments columns from (warp_row, warp_column) on, as fragments of 16 by 8.
template <int kRows, int kColumns, int kFragments, typename In, typename Out>
__device__ __forceinline__ void conv_store(const ConvInput<In>& input, const LinearTail<Out>& tail,
                                           const float (&sums)[2][kFragments][4], int warp_row,
                                           int warp_column, float* shared, Out* y) {
  const int lane = threadIdx.x % kWarpSize;
  __syncthreads();  // The last stage has been read.
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int j = 0; j < kFragments; ++j) {
        const int row = warp_row + i * 16 + half * 8 + lane / 4;
        const int column = warp_column + j * 8 + lane % 4 * 2;
        store(shared + sums_place<kColumns>(row, column),
              Vec<float, 2>{{sums[i][j][2 * half], sums[i][j][2 * half + 1]}});
      }
    }
  }
  __syncthreads();
  constexpr int kChunks = kColumns / 8;
  const bool wide =
      input.out % 8 == 0 &&
      (reinterpret_cast<uintptr_t>(y) | reinterpret_cast<uintptr_t>(tail.residual)) % 16 == 0;
#pragma unroll 1
  for (int chunk = threadIdx.x; chunk < kRows * kChunks; chunk += kConvThreads) {
    const int64_t row = int64_t{blockIdx.x} * kRows + chunk / kChunks;
    const int column = blockIdx.y * kColumns + chunk % kChunks * 8;
    if (row >= input.rows() || column >= input.out) continue;
    const float* from = shared + sums_place<kColumns>(chunk / kChunks, chunk % kChunks * 8);
    const int64_t place = conv_place(input, row, blockIdx.z), at = place * input.out + column;
    if (wide) {
      Eight<float> values = load8<float>(from), before = {};
      if (tail.residual != nullptr) before = load8<float>(tail.residual + at);
      tail.apply(values.v, before.v, place, column);
      store8(y + at, values);
      continue;
    }
#pragma unroll 1
    for (int j = 0; j < 8 && column + j < input.out; ++j) {
      float value[1] = {from[j]};
      tail(value, at + j);
      y[at + j] = from_float<Out>(value[0]);
    }
  }
}

/// kWide: both inputs have a multiple of 8 channels and start at multiples of 16 bytes, so eight
/// columns come from one place. Products are of T. weight [phases, out, depth].
template <typename In, typename T, typename W, bool kWide, typename Out>
__global__ void __launch_bounds__(kConvThreads, kConvBlocks)
    conv_mma_kernel(ConvInput<In> input, const W* weight, LinearTail<Out> tail, Out* y) {
  auto& shared = shared_memory<ConvShared<T>>();
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  const int64_t first_row = int64_t{blockIdx.x} * kConvRows;
  const int first_column = blockIdx.y * kConvColumns;
  const int depth = input.depth();
  weight += int64_t{blockIdx.z} * input.out * depth;

  ConvPixel pixels[kConvLoads];
#pragma unroll
  for (int i = 0; i < kConvLoads; ++i) {
    const int64_t row = first_row + (threadIdx.x + i * kConvThreads) / kConvChunks;
    pixels[i] = conv_pixel(input, row, blockIdx.z);
  }
  // A thread's loads share the columns.
  const int chunk = threadIdx.x % kConvChunks;
  Eight<T> a[kConvLoads], b[kConvLoads];
  const auto fetch = [&](int from) {
    const int k = from + chunk * 8;
    const ConvColumn column = conv_column(input, k);
#pragma unroll
    for (int i = 0; i < kConvLoads; ++i) {
      const In* source = conv_source(input, pixels[i], column);
      a[i] = source != nullptr ? load8<T>(source) : Eight<T>{};
      const int out = first_column + (threadIdx.x + i * kConvThreads) / kConvChunks;
      const bool inside = out < input.out && k < depth;
      b[i] = inside ? load8<T>(weight + int64_t{out} * depth + k) : Eight<T>{};
    }
  };
  // One by one, straight to shared memory.
  const auto gather = [&](int from, int stage) {
    ConvColumn column = conv_column(input, from + chunk * 8);
#pragma unroll 1
    for (int j = 0; j < 8; ++j, column.move(input, 1)) {
      const int k = from + chunk * 8 + j;
#pragma unroll
      for (int i = 0; i < kConvLoads; ++i) {
        const int row = (threadIdx.x + i * kConvThreads) / kConvChunks;
        const int place = conv_swizzled(row, chunk) + j, out = first_column + row;
        const In* source = conv_source(input, pixels[i], column);
        shared.a[stage][place] = from_float<T>(source != nullptr ? to_float(*source) : 0.0f);
        const bool inside = out < input.out && k < depth;
        shared.b[stage][place] =
            from_float<T>(inside ? to_float(weight[int64_t{out} * depth + k]) : 0.0f);
      }
    }
  };

  // A warp's quarter of the tile as fragments of 16 rows by 8 columns.
  const int warp_row = warp / 2 * 32, warp_column = warp % 2 * 32;
  float sums[2][4][4] = {};
  if (kWide) fetch(0);
  for (int from = 0, stage = 0; from < depth; from += kConvDepth, stage = 1 - stage) {
    if (kWide) {
#pragma unroll
      for (int i = 0; i < kConvLoads; ++i) {
        const int place = conv_swizzled((threadIdx.x + i * kConvThreads) / kConvChunks, chunk);
        store8(shared.a[stage] + place, a[i]);
        store8(shared.b[stage] + place, b[i]);
      }
    } else {
      gather(from, stage);
    }
    // The only barrier of a turn: whoever is past the next one has read this stage.
    __syncthreads();
    if (kWide && from + kConvDepth < depth) fetch(from + kConvDepth);
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

  conv_store<kConvRows, kConvColumns>(input, tail, sums, warp_row, warp_column,
                                      reinterpret_cast<float*>(&shared), y);
}

/// y [n, out_h, out_w, out] = tail(conv(input)) with products of T, bf16 or f16; weight
/// [phases, out, kernel_t, kernel, kernel, channels], of T, or of 8 bits where x is wide.
template <typename T, typename W, typename In, typename Out>
void conv_mma(const ConvInput<In>& input, const W* weight, const LinearTail<Out>& tail, Out* y,
              cudaStream_t stream) {
  const bool wide = input.first % 8 == 0 && input.second % 8 == 0 &&
                    can_vectorise<In>(0, input.x, input.x2, input.past) &&
                    can_vectorise<W>(0, weight);
  const auto start = [&](auto* kernel) {
    launch("conv_mma", kernel,
           dim3(static_cast<unsigned>(ceil_div<int64_t>(input.rows(), kConvRows)),
                static_cast<unsigned>(ceil_div(input.out, kConvColumns)),
                static_cast<unsigned>(input.phases)),
           dim3(kConvThreads), sizeof(ConvShared<T>), stream, input, weight, tail, y);
  };
  // What needs no rounding and comes in eights has a kernel of its own (conv_staged.cuh).
  constexpr bool kEverWide = !std::is_same_v<In, T> || sizeof(W) == 1;
  if constexpr (kEverWide) {
    if (wide) return start(conv_mma_kernel<In, T, W, true, Out>);
  }
  if constexpr (sizeof(W) == 1) {
    DL_CHECK(wide, "channels of a product with weights of 8 bits", "a multiple of 8, aligned",
             input.first);
  } else {
    start(conv_mma_kernel<In, T, W, false, Out>);
  }
}

}  // namespace cuda
}  // namespace driftless
