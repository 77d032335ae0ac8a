#pragma once

// Convolution on the tensor cores of 16-bit pictures whose channels come in eights: both sides go
// to shared memory by cp.async, kStages deep, so that no register waits for memory.

#include "ops/cuda/conv_mma.cuh"

namespace driftless {
namespace cuda {

constexpr int kStagedRows = 128;  // Four warps of 32.
constexpr int kStages = 4;
constexpr int kStagedLoads = kStagedRows * kConvChunks / kConvThreads;

template <typename T, int kColumns>
struct alignas(16) StagedShared {
  T a[kStages][kStagedRows * kConvDepth];
  T b[kStages][kColumns * kConvDepth];
};
static_assert(sizeof(StagedShared<bf16, 64>) >= sizeof(float) * kStagedRows * 64, "too small");

/// weight [phases, out, depth]. The picture is not enlarged but by phases.
template <typename T, int kColumns, typename Out>
__global__ void __launch_bounds__(kConvThreads, 3)
    conv_staged_kernel(ConvInput<T> input, const T* weight, LinearTail<Out> tail, Out* y) {
  auto& shared = shared_memory<StagedShared<T, kColumns>>();
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  const int64_t first_row = int64_t{blockIdx.x} * kStagedRows;
  const int first_column = blockIdx.y * kColumns;
  const int depth = input.depth();
  weight += int64_t{blockIdx.z} * input.out * depth;

  // A thread's loads share the column, and so what is worked out from it.
  const int load_row = threadIdx.x / kConvChunks, load_chunk = threadIdx.x % kConvChunks;
  ConvPixel pixels[kStagedLoads];
#pragma unroll
  for (int i = 0; i < kStagedLoads; ++i) {
    pixels[i] =
        conv_pixel(input, first_row + load_row + i * (kStagedRows / kStagedLoads), blockIdx.z);
  }
  ConvColumn column = conv_column(input, load_chunk * 8);
  int next = 0;  // First column of the stage to start.
  const auto start = [&](int stage) {
    if (next < depth) {
#pragma unroll
      for (int i = 0; i < kStagedLoads; ++i) {
        const T* source = conv_source(input, pixels[i], column);
        const int row = load_row + i * (kStagedRows / kStagedLoads);
        cp_async16(shared.a[stage] + conv_swizzled(row, load_chunk),
                   source != nullptr ? source : input.x, source != nullptr);
      }
      const int k = next + load_chunk * 8;
#pragma unroll
      for (int row = load_row; row < kColumns; row += kConvThreads / kConvChunks) {
        const bool inside = first_column + row < input.out && k < depth;
        cp_async16(shared.b[stage] + conv_swizzled(row, load_chunk),
                   inside ? weight + int64_t{first_column + row} * depth + k : weight, inside);
      }
      column.move(input, kConvDepth);
      next += kConvDepth;
    }
    cp_async_commit();  // Empty at the end, so that the count of groups stays the same.
  };

  float sums[2][kColumns / 8][4] = {};
#pragma unroll
  for (int stage = 0; stage < kStages - 1; ++stage) start(stage);
  for (int from = 0, stage = 0; from < depth; from += kConvDepth) {
    cp_async_wait<kStages - 2>();
    // The only barrier of a turn: whoever is past it has read the stage that is started now.
    __syncthreads();
    start((stage + kStages - 1) % kStages);
#pragma unroll
    for (int step = 0; step < kConvDepth / 16; ++step) {
      uint32_t left[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int row = warp * 32 + i * 16 + lane % 16;
        ldmatrix_x4(left[i], shared.a[stage] + conv_swizzled(row, step * 2 + lane / 16));
      }
#pragma unroll
      for (int pair = 0; pair < kColumns / 16; ++pair) {
        uint32_t right[4];
        const int row = pair * 16 + lane / 16 * 8 + lane % 8;
        ldmatrix_x4(right, shared.b[stage] + conv_swizzled(row, step * 2 + lane / 8 % 2));
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          mma_m16n8k16<T>(sums[i][2 * pair], left[i], right[0], right[1]);
          mma_m16n8k16<T>(sums[i][2 * pair + 1], left[i], right[2], right[3]);
        }
      }
    }
    stage = (stage + 1) % kStages;
  }
  cp_async_wait<0>();
  conv_store<kStagedRows, kColumns>(input, tail, sums, warp * 32, 0,
                                    reinterpret_cast<float*>(&shared), y);
}

/// Whether conv_staged() takes it.
template <typename T>
bool can_stage(const ConvInput<T>& input, const T* weight) {
  return sizeof(T) == 2 && input.up == 1 && input.first % 8 == 0 && input.second % 8 == 0 &&
         (input.kernel_t == 1 || input.second == 0) &&
         can_vectorise<T>(0, input.x, input.x2, input.past, weight);
}

/// As conv_mma().
template <typename T, typename Out>
void conv_staged(const ConvInput<T>& input, const T* weight, const LinearTail<Out>& tail, Out* y,
                 cudaStream_t stream) {
  const auto start = [&](auto* kernel, size_t shared_bytes, int columns) {
    launch("conv_staged", kernel,
           dim3(static_cast<unsigned>(ceil_div<int64_t>(input.rows(), kStagedRows)),
                static_cast<unsigned>(ceil_div(input.out, columns)),
                static_cast<unsigned>(input.phases)),
           dim3(kConvThreads), shared_bytes, stream, input, weight, tail, y);
  };
  // Pictures of three colours would leave most of a wide tile empty.
  if (input.out <= 16) {
    return start(conv_staged_kernel<T, 16, Out>, sizeof(StagedShared<T, 16>), 16);
  }
  start(conv_staged_kernel<T, 64, Out>, sizeof(StagedShared<T, 64>), 64);
}

}  // namespace cuda
}  // namespace driftless
