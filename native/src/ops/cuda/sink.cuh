#pragma once

// Which anchor of a ring has to go, decided on the device for all rows of a batch: the host never
// waits for the answer. The rule is that of Ops::refresh_sink.

#include "ops/cuda/reduce.cuh"
#include "ops/cuda/ring.cuh"

namespace driftless {
namespace cuda {

/// One layer's chunk and the rings whose anchors it may replace. Pointer arrays are in device
/// memory.
template <typename T, typename Ring>
struct SinkRefresh {
  const T* k;                ///< [rows * tokens, width], the chunk's keys as the rings hold them.
  const T* v;                ///< Like k.
  Ring* const* k_rings;      ///< [rows], each [slots, tokens, width].
  Ring* const* v_rings;      ///< [rows].
  const RingPlan* plans;     ///< [rows]; `slot` is the one that leaves.
  const float* thresholds;   ///< [rows]; kNoThreshold: nothing is done.
  float* means;              ///< [rows, 2 * (sinks + 1), width], working memory.
  int* chosen;               ///< [rows], working memory.
  int sinks, tokens, width;  ///< The first `sinks` slots of a ring are anchors.
};

/// No row that is alike in any degree, -1..1, is below it.
constexpr float kNoThreshold = -2.0f;

constexpr int kMeanColumns = 32;
struct MeanShared {
  double sums[kReduceThreads / kMeanColumns][kMeanColumns];
};

/// Means over the tokens: k and v of each anchor, then of the chunk. A block takes 32 columns of
/// one of them, a warp every eighth token.
template <typename T, typename Ring>
__global__ void __launch_bounds__(kReduceThreads) sink_means_kernel(SinkRefresh<T, Ring> a) {
  auto& shared = shared_memory<MeanShared>();
  constexpr int kWarps = kReduceThreads / kMeanColumns;
  const int row = blockIdx.z, part = blockIdx.y, sink = part / 2;
  if (a.thresholds[row] <= kNoThreshold) return;
  const int lane = threadIdx.x % kMeanColumns, warp = threadIdx.x / kMeanColumns;
  const int column = blockIdx.x * kMeanColumns + lane;
  const int64_t frame = int64_t{a.tokens} * a.width;
  double sum = 0.0;
  if (column < a.width) {
    const auto add = [&](const auto* values) {
      for (int token = warp; token < a.tokens; token += kWarps) {
        sum += to_float(values[int64_t{token} * a.width + column]);
      }
    };
    if (sink < a.sinks) {
      add((part % 2 == 0 ? a.k_rings : a.v_rings)[row] + sink * frame);
    } else {
      add((part % 2 == 0 ? a.k : a.v) + row * frame);
    }
  }
  shared.sums[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || column >= a.width) return;
  sum = 0.0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) sum += shared.sums[w][lane];
  a.means[(int64_t{row} * 2 * (a.sinks + 1) + part) * a.width + column] =
      static_cast<float>(sum / a.tokens);
}

/// The anchor that is least like the chunk, when that is less than the threshold, else -1. One
/// block for each row.
template <typename T, typename Ring>
__global__ void __launch_bounds__(kReduceThreads) choose_sink_kernel(SinkRefresh<T, Ring> a) {
  auto& shared = shared_memory<Parts<double>>();
  const int row = blockIdx.x;
  float lowest = a.thresholds[row];
  if (lowest <= kNoThreshold) return;
  const float* means = a.means + int64_t{row} * 2 * (a.sinks + 1) * a.width;
  int sink = -1;
  for (int s = 0; s < a.sinks; ++s) {
    double alike = 0.0;
    for (int part = 0; part < 2; ++part) {
      const float* x = means + int64_t{2 * s + part} * a.width;
      const float* y = means + int64_t{2 * a.sinks + part} * a.width;
      double dot = 0.0, xx = 0.0, yy = 0.0;
      for (int i = threadIdx.x; i < a.width; i += kReduceThreads) {
        dot += static_cast<double>(x[i]) * y[i];
        xx += static_cast<double>(x[i]) * x[i];
        yy += static_cast<double>(y[i]) * y[i];
      }
      dot = block_total(dot, shared);
      xx = block_total(xx, shared);
      yy = block_total(yy, shared);
      constexpr double kTiny = 1e-24;  // A slot of zeros resembles nothing, and is no 0 / 0.
      alike += 0.5 * dot / sqrt((xx > kTiny ? xx : kTiny) * (yy > kTiny ? yy : kTiny));
    }
    if (static_cast<float>(alike) < lowest) {
      lowest = static_cast<float>(alike);
      sink = s;
    }
  }
  if (threadIdx.x == 0) a.chosen[row] = sink;
}

/// The slot that leaves becomes the chosen anchor.
template <typename T, typename Ring>
__global__ void __launch_bounds__(kReduceThreads) replace_sink_kernel(SinkRefresh<T, Ring> a) {
  const int row = blockIdx.y;
  if (a.thresholds[row] <= kNoThreshold || a.chosen[row] < 0) return;
  const int64_t frame = int64_t{a.tokens} * a.width;
  const int64_t from = a.plans[row].slot * frame, to = a.chosen[row] * frame;
  const int64_t step = int64_t{gridDim.x} * kReduceThreads;
  for (int64_t i = int64_t{blockIdx.x} * kReduceThreads + threadIdx.x; i < frame; i += step) {
    a.k_rings[row][to + i] = a.k_rings[row][from + i];
    a.v_rings[row][to + i] = a.v_rings[row][from + i];
  }
}

template <typename T, typename Ring>
void refresh_sinks(const SinkRefresh<T, Ring>& refresh, int rows, cudaStream_t stream) {
  const auto count = static_cast<unsigned>(rows);
  launch("sink_means", sink_means_kernel<T, Ring>,
         dim3(static_cast<unsigned>(ceil_div(refresh.width, kMeanColumns)),
              static_cast<unsigned>(2 * (refresh.sinks + 1)), count),
         dim3(kReduceThreads), sizeof(MeanShared), stream, refresh);
  launch("choose_sink", choose_sink_kernel<T, Ring>, dim3(count), dim3(kReduceThreads),
         sizeof(Parts<double>), stream, refresh);
  constexpr int64_t kMostBlocks = 256;
  const int64_t blocks = ceil_div<int64_t>(int64_t{refresh.tokens} * refresh.width, kReduceThreads);
  launch("replace_sink", replace_sink_kernel<T, Ring>,
         dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks), count),
         dim3(kReduceThreads), 0, stream, refresh);
}

}  // namespace cuda
}  // namespace driftless
