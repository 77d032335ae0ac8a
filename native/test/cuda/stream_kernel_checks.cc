// Kernels of the streaming engine's own: noise, the drift guard's numbers, anchors.

#include "cuda/kernel_check_support.h"
#include "ops/cuda/noise.cuh"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/sink.cuh"

namespace driftless {

namespace {

KernelResult normal_noise(KernelRun& run) {
  const int64_t count = run.size("count");
  const auto first = static_cast<uint64_t>(run.size("first"));
  const Tensor expected = run.empty({count});
  run.oracle->normal_noise(0x123456789abcdefull, 77, first, expected);
  const KernelBuffer<float> y(count);
  cuda::normal_noise(0x123456789abcdefull, 77, first, count, y.data(), nullptr);
  return run.compare(expected, y);
}

template <typename T>
KernelResult channel_moments(KernelRun& run) {
  const int64_t rows = run.size("rows"), width = run.size("width");
  const Tensor x = run.random<T>({rows, width}, 3.0f), expected = run.empty({2, width});
  run.oracle->channel_moments(x, expected);
  const KernelBuffer<T> in(x);
  const KernelBuffer<float> y(2 * width);
  cuda::channel_moments(in.data(), rows, static_cast<int>(width), y.data(), nullptr);
  return run.compare(expected, y);
}

template <typename T>
KernelResult clamp(KernelRun& run) {
  const int64_t count = run.size("count");
  const Tensor x = run.random<T>({count}), expected = run.empty({count});
  run.oracle->clamp(x, -0.5f, 0.75f, expected);
  const KernelBuffer<T> y(x);
  cuda::map("clamp", y.data(), y.data(), count, count, cuda::Clamp{-0.5f, 0.75f}, nullptr);
  return run.compare(expected, y);
}

/// The ring after its anchors have been looked at. A threshold of 2 always replaces one.
template <typename T>
KernelResult refresh_sink(KernelRun& run) {
  const int64_t sinks = run.size("sinks"), tokens = run.size("tokens"), width = run.size("width");
  const int64_t slots = sinks + 2, leaving = sinks + 1;
  const auto threshold = static_cast<float>(run.size("threshold"));
  const Tensor k = run.random<T>({slots, tokens, 1, width});
  const Tensor v = run.random<T>({slots, tokens, 1, width});
  const Tensor chunk_k = run.random<T>({tokens, width}), chunk_v = run.random<T>({tokens, width});
  const KernelBuffer<T> ring_k(k), ring_v(v), new_k(chunk_k), new_v(chunk_v);
  const KernelBuffer<float> means(2 * (sinks + 1) * width);
  const KernelBuffer<int> chosen(1);
  run.oracle->refresh_sink({k, v, sinks}, chunk_k, chunk_v, leaving, threshold);
  const cuda::SinkRing<T> ring = {ring_k.data(), ring_v.data(), tokens * width,
                                  static_cast<int>(sinks)};
  cuda::refresh_sink(ring, new_k.data(), new_v.data(), tokens, width, static_cast<int>(leaving),
                     threshold, means.data(), chosen.data(), nullptr);
  KernelResult result = run.compare(k, ring_k);
  const KernelResult values = run.compare(v, ring_v);
  result.error = std::max(result.error, values.error);
  result.hash = result.hash * 31 + values.hash;
  return result;
}

}  // namespace

KernelTable stream_kernel_checks() {
  return {
      {"normal_noise", KernelCheck{{{"count", 1000}, {"first", 2}}, normal_noise}},
      {"channel_moments", DL_KERNEL_CHECK(channel_moments, {{"rows", 300}, {"width", 16}})},
      {"clamp", DL_KERNEL_CHECK(clamp, {{"count", 1000}})},
      {"refresh_sink",
       DL_KERNEL_CHECK(refresh_sink,
                       {{"sinks", 1}, {"tokens", 6}, {"width", 24}, {"threshold", 2}})},
  };
}

}  // namespace driftless
