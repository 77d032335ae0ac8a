#pragma once

// What the checks of one kernel each are written with.

#include <cmath>

#include "core/arena.h"
#include "core/philox.h"
#include "cuda/kernel_buffer.h"
#include "cuda/kernel_checks.h"
#include "ops/ops.h"

namespace driftless {

template <typename T>
struct Rounding;  // Largest relative error of one rounding.
template <>
struct Rounding<float> {
  static constexpr double value = 6e-8;
};
template <>
struct Rounding<cuda::bf16> {
  static constexpr double value = 3.91e-3;
};
template <>
struct Rounding<cuda::f16> {
  static constexpr double value = 4.9e-4;
};

template <>
struct Rounding<cuda::e4m3> {
  static constexpr double value = 6.25e-2;
};

/// Inputs, the oracle, and the comparison. Everything random is the same in every run.
class KernelRun {
 public:
  explicit KernelRun(const KernelCase& c) : oracle(make_ops("reference")), kernel_case(c) {}

  int64_t size(const char* name) const { return kernel_case.sizes.at(name); }
  int integer(const char* name) const { return static_cast<int>(size(name)); }
  bool flag(const char* name) const { return size(name) != 0; }

  /// Normal values, already rounded to T, so that the oracle and the kernel see the same.
  template <typename T>
  Tensor random(Shape shape, float scale = 1.0f) {
    const Tensor tensor = arena.tensor(shape);
    fill_normal(7, ++stream_, 0, tensor.f32(), static_cast<size_t>(tensor.count()));
    for (int64_t i = 0; i < tensor.count(); ++i) {
      tensor.f32()[i] = cuda::to_float(cuda::from_float<T>(tensor.f32()[i] * scale));
    }
    return tensor;
  }
  Tensor empty(Shape shape) { return arena.tensor(shape); }

  /// Waits for the device, then compares. `roundings`: how many roundings to T a value has seen.
  template <typename T>
  KernelResult compare(const Tensor& expected, const KernelBuffer<T>& got, double roundings = 1) {
    cuda::check(cudaStreamSynchronize(nullptr), "kernel");
    got.require_intact();
    DL_CHECK_EQ("elements of the output", expected.count(), got.count());
    double squares = 1e-60, worst = 0.0;
    for (int64_t i = 0; i < expected.count(); ++i) {
      squares += double{expected.f32()[i]} * expected.f32()[i];
    }
    const double rms =
        std::sqrt(squares / static_cast<double>(std::max<int64_t>(1, expected.count())));
    for (int64_t i = 0; i < expected.count(); ++i) {
      const double size = std::max(std::abs(double{expected.f32()[i]}), rms);
      const double error = std::abs(double{expected.f32()[i]} - got.value(i)) / size;
      if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
    }
    // Sums of f32 add their own share.
    return {worst, roundings * Rounding<T>::value + 1e-5, got.hash()};
  }

  std::unique_ptr<Ops> oracle;
  Arena arena;
  const KernelCase& kernel_case;

 private:
  uint64_t stream_ = 0;
};

/// One kernel's check: its default sizes and the functions for each type it has (null: none).
struct KernelCheck {
  std::map<std::string, int64_t> defaults;
  KernelResult (*f32)(KernelRun&) = nullptr;
  KernelResult (*bf16)(KernelRun&) = nullptr;
  KernelResult (*f16)(KernelRun&) = nullptr;
};
using KernelTable = std::map<std::string, KernelCheck>;

/// A check that is a template over the element type.
#define DL_KERNEL_CHECK(function, ...) \
  KernelCheck { __VA_ARGS__, function<float>, function<cuda::bf16>, function<cuda::f16> }

KernelTable stream_kernel_checks();
KernelTable token_kernel_checks();
KernelTable pixel_kernel_checks();
KernelTable picture_kernel_checks();
KernelTable video_kernel_checks();
KernelTable mobile_kernel_checks();
KernelTable product_kernel_checks();

}  // namespace driftless
