#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/error.h"
#include "core/philox.h"
#include "cuda/recording_cublaslt.h"
#include "ops/cuda/cuda_ops.h"
#include "ops/ops.h"

namespace driftless {

/// Runs every case on each backend: the same expectations hold for all of them.
class OpsTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ops = make("f32");
    if (GetParam() == "cuda") arena = Arena(size_t{1} << 20, 0, cuda_unified_memory());
  }
  static std::unique_ptr<Ops> make(const std::string& dtype) {
    if (GetParam() != "cuda") return make_ops(GetParam(), 1, dtype);
    // The CUDA backend on the emulated device, its products by the double of cuBLASLt.
    CudaOptions options;
    options.precision = dtype == "f32" ? CudaPrecision::f32 : CudaPrecision::bf16;
    options.workspace_bytes = size_t{1} << 16;
    options.cublaslt = &recording_cublaslt();
    return make_cuda_ops(options);
  }
  void TearDown() override {
    EXPECT_EQ(std::vector<std::string>(), recorded_calls().problems) << "calls of cuBLASLt";
    recorded_calls() = {};
  }

  /// Reproducible normal values.
  Tensor random(Shape shape) {
    const Tensor tensor = arena.tensor(shape);
    fill_normal(7, ++stream, 0, tensor.f32(), static_cast<size_t>(tensor.count()));
    return tensor;
  }
  Tensor from(Shape shape, const std::vector<float>& values) {
    EXPECT_EQ(shape.count(), static_cast<int64_t>(values.size()));
    return arena.copy(Tensor(shape, const_cast<float*>(values.data())));
  }
  Tensor filled(Shape shape, float value) {
    const Tensor tensor = arena.tensor(shape);
    std::fill(tensor.f32(), tensor.f32() + tensor.count(), value);
    return tensor;
  }

  std::unique_ptr<Ops> ops;
  Arena arena;
  uint64_t stream = 0;
};

/// Largest difference allowed: `tolerance` times the expected tensor's rms.
inline void expect_close(const Tensor& expected, const Tensor& got, double tolerance = 1e-5) {
  ASSERT_EQ(expected.shape(), got.shape());
  double squares = 0.0, worst = 0.0;
  int64_t worst_at = 0;
  for (int64_t i = 0; i < expected.count(); ++i) {
    const double difference = std::abs(double{expected.f32()[i]} - got.f32()[i]);
    squares += double{expected.f32()[i]} * expected.f32()[i];
    if (!(difference <= worst)) {
      worst = difference;
      worst_at = i;
    }
  }
  const double rms =
      std::sqrt(squares / static_cast<double>(std::max<int64_t>(1, expected.count())));
  EXPECT_LE(worst, tolerance * rms + 1e-12)
      << "at " << worst_at << ": expected " << expected.f32()[worst_at] << ", got "
      << got.f32()[worst_at];
}

/// The statement must throw driftless::Error whose text holds every given part.
template <typename Statement>
void expect_error(Statement statement, const std::vector<std::string>& parts) {
  try {
    statement();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << "\"" << error.what() << "\" does not mention \"" << part << "\"";
    }
  }
}

}  // namespace driftless

#define DRIFTLESS_ON_ALL_BACKENDS(suite)                                                   \
  INSTANTIATE_TEST_SUITE_P(Backends, suite, ::testing::Values("reference", "cpu", "cuda"), \
                           [](const auto& item) { return item.param; })
