#pragma once

// Which anchor of a ring has to go, decided on the device: the host never waits for the answer.

#include "ops/cuda/reduce.cuh"

namespace driftless {
namespace cuda {

/// One layer's ring; the first `sinks` slots of `slot_values` elements each are anchors.
template <typename T>
struct SinkRing {
  T* k;
  T* v;
  int64_t slot_values;
  int sinks;
};

/// means [2 * (sinks + 1), width]: k and v of each sink, then of the chunk. One block.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    choose_sink_kernel(const float* means, int sinks, int width, float threshold, int* chosen) {
  auto& shared = shared_memory<DoubleSum>();
  float lowest = threshold;
  int sink = -1;
  for (int s = 0; s < sinks; ++s) {
    double alike = 0.0;
    for (int part = 0; part < 2; ++part) {
      const float* a = means + int64_t{2 * s + part} * width;
      const float* b = means + int64_t{2 * sinks + part} * width;
      double dot = 0.0, aa = 0.0, bb = 0.0;
      for (int i = threadIdx.x; i < width; i += kThreads) {
        dot += static_cast<double>(a[i]) * b[i];
        aa += static_cast<double>(a[i]) * a[i];
        bb += static_cast<double>(b[i]) * b[i];
      }
      dot = block_total(dot, shared);
      aa = block_total(aa, shared);
      bb = block_total(bb, shared);
      constexpr double kTiny = 1e-24;  // A slot of zeros resembles nothing, and is no 0 / 0.
      alike += 0.5 * dot / sqrt((aa > kTiny ? aa : kTiny) * (bb > kTiny ? bb : kTiny));
    }
    if (static_cast<float>(alike) < lowest) {
      lowest = static_cast<float>(alike);
      sink = s;
    }
  }
  if (threadIdx.x == 0) *chosen = sink;
}

template <typename T>
__global__ void __launch_bounds__(kReduceThreads)
    replace_sink_kernel(SinkRing<T> ring, int leaving, const int* chosen) {
  if (*chosen < 0) return;
  const int64_t from = leaving * ring.slot_values, to = *chosen * ring.slot_values;
  const int64_t step = int64_t{gridDim.x} * kReduceThreads;
  for (int64_t i = int64_t{blockIdx.x} * kReduceThreads + threadIdx.x; i < ring.slot_values;
       i += step) {
    ring.k[to + i] = ring.k[from + i];
    ring.v[to + i] = ring.v[from + i];
  }
}

/// k, v [tokens, width] of the chunk; means [2 * (sinks + 1), width] and chosen [1] are working
/// memory. The rule is that of Ops::refresh_sink.
template <typename T, typename Chunk>
void refresh_sink(const SinkRing<T>& ring, const Chunk* k, const Chunk* v, int64_t tokens,
                  int64_t width, int leaving, float threshold, float* means, int* chosen,
                  cudaStream_t stream) {
  for (int s = 0; s < ring.sinks; ++s) {
    mean_rows(ring.k + s * ring.slot_values, tokens, width, means + 2 * s * width, stream);
    mean_rows(ring.v + s * ring.slot_values, tokens, width, means + (2 * s + 1) * width, stream);
  }
  mean_rows(k, tokens, width, means + 2 * ring.sinks * width, stream);
  mean_rows(v, tokens, width, means + (2 * ring.sinks + 1) * width, stream);
  launch("choose_sink", choose_sink_kernel<kReduceThreads>, dim3(1), dim3(kReduceThreads),
         sizeof(DoubleSum), stream, means, ring.sinks, static_cast<int>(width), threshold, chosen);
  constexpr int64_t kMostBlocks = 1024;
  const int64_t blocks = ceil_div<int64_t>(ring.slot_values, kReduceThreads);
  launch("replace_sink", replace_sink_kernel<T>,
         dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks)),
         dim3(kReduceThreads), 0, stream, ring, leaving, chosen);
}

}  // namespace cuda
}  // namespace driftless
