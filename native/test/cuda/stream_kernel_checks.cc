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

/// Rings after their anchors have been looked at. A threshold of 2 always replaces one; every other
/// row is not due.
template <typename T>
KernelResult refresh_sink(KernelRun& run) {
  const int64_t sinks = run.size("sinks"), tokens = run.size("tokens"), width = run.size("width");
  const int64_t rows = run.size("rows"), slots = sinks + 2;
  const auto threshold = static_cast<float>(run.size("threshold"));
  const Shape rings = {rows, slots, tokens, 1, width};
  const Tensor k = run.random<T>(rings), v = run.random<T>(rings);
  const Tensor chunk_k = run.random<T>({rows, tokens, width});
  const Tensor chunk_v = run.random<T>({rows, tokens, width});
  const KernelBuffer<T> ring_k(k), ring_v(v), new_k(chunk_k), new_v(chunk_v);
  KernelBuffer<T*> k_pointers(rows), v_pointers(rows);
  KernelBuffer<cuda::RingPlan> plans(rows);
  KernelBuffer<float> thresholds(rows);
  for (int64_t row = 0; row < rows; ++row) {
    const bool due = row % 2 == 0;
    const int leaving = static_cast<int>(sinks + row % 2);
    k_pointers.data()[row] = ring_k.data() + row * slots * tokens * width;
    v_pointers.data()[row] = ring_v.data() + row * slots * tokens * width;
    plans.data()[row] = {leaving, 0, 0};
    thresholds.data()[row] = due ? threshold : cuda::kNoThreshold;
    if (!due) continue;
    run.oracle->refresh_sink({k.at(row), v.at(row), sinks}, chunk_k.at(row), chunk_v.at(row),
                             leaving, threshold);
  }
  const KernelBuffer<float> means(rows * 2 * (sinks + 1) * width);
  const KernelBuffer<int> chosen(rows);
  cuda::refresh_sinks(cuda::SinkRefresh<T, T>{new_k.data(), new_v.data(), k_pointers.data(),
                                              v_pointers.data(), plans.data(), thresholds.data(),
                                              means.data(), chosen.data(), static_cast<int>(sinks),
                                              static_cast<int>(tokens), static_cast<int>(width)},
                      static_cast<int>(rows), nullptr);
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
       DL_KERNEL_CHECK(
           refresh_sink,
           {{"rows", 3}, {"sinks", 1}, {"tokens", 6}, {"width", 24}, {"threshold", 2}})},
  };
}

}  // namespace driftless
