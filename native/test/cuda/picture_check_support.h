#pragma once

// What the checks of kernels on bytes share.

#include <algorithm>

#include "cuda/kernel_check_support.h"
#include "ops/cuda/pictures.cuh"

namespace driftless {

/// The same bytes on both sides.
inline void randomise(KernelRun& run, const Tensor& to, const KernelBuffer<uint8_t>& there) {
  const Tensor values = run.random<float>(to.shape(), 60);
  for (int64_t i = 0; i < to.count(); ++i) {
    to.u8()[i] = static_cast<uint8_t>(std::clamp(128 + values.f32()[i], 0.0f, 255.0f));
  }
  std::copy_n(to.u8(), to.count(), there.data());
}

/// The largest difference between bytes, in steps; `allowed` of them are rounded otherwise.
inline KernelResult compare_bytes(const Tensor& expected, const KernelBuffer<uint8_t>& got,
                                  int allowed) {
  cuda::check(cudaStreamSynchronize(nullptr), "pictures");
  got.require_intact();
  int worst = 0;
  for (int64_t i = 0; i < expected.count(); ++i) {
    worst = std::max(worst, std::abs(int{expected.u8()[i]} - int{got.data()[i]}));
  }
  return {static_cast<double>(worst), static_cast<double>(allowed), got.hash()};
}

/// A Resampling on both sides.
struct Axis {
  explicit Axis(const Resampling& resampling)
      : axis(resampling), taps(axis.to), weights(static_cast<int64_t>(axis.weights.size())) {
    std::copy(axis.taps.begin(), axis.taps.end(), taps.data());
    std::copy(axis.weights.begin(), axis.weights.end(), weights.data());
  }
  cuda::Taps there() const { return {taps.data(), weights.data(), axis.from, axis.to}; }
  const Resampling axis;
  const KernelBuffer<Resampling::Taps> taps;
  const KernelBuffer<float> weights;
};

}  // namespace driftless
