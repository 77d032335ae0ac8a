#pragma once

// What the tests of the CUDA backend on the emulated device share.

#include <memory>

#include "emulation/cuda_runtime.h"
#include "ops_test_support.h"

namespace driftless {

class CudaOps : public ::testing::Test {
 protected:
  CudaOps() { recorded_calls() = {}; }
  ~CudaOps() override { emulation::machine() = {}; }

  Tensor random(Shape shape, float scale = 1.0f) {
    const Tensor tensor = arena.tensor(shape);
    fill_normal(3, ++stream, 0, tensor.f32(), static_cast<size_t>(tensor.count()));
    for (int64_t i = 0; i < tensor.count(); ++i) tensor.f32()[i] *= scale;
    return tensor;
  }
  /// A copy of 16 bits; `values` become what it holds.
  Tensor rounded(Ops& ops, const Tensor& values) {
    const Tensor narrow = arena.tensor(values.shape(), ops.token_dtype());
    ops.convert(values, narrow);
    ops.convert(narrow, values);
    return narrow;
  }
  static std::unique_ptr<Ops> make(CudaPrecision precision, bool cublaslt) {
    CudaOptions options;
    options.precision = precision;
    if (cublaslt) options.cublaslt = &recording_cublaslt();
    return make_cuda_ops(options);
  }

  std::unique_ptr<Ops> reference = make_ops("reference");
  Arena arena{size_t{1} << 20, 0, cuda_unified_memory()};
  uint64_t stream = 0;
};

}  // namespace driftless
