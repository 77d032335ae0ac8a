// The CUDA backend on the emulated device, beyond the suites that every backend passes: reduced
// precision, products with and without cuBLASLt, and machines on which something is missing.

#include "cuda_ops_test_support.h"
#include "emulation/cuda_runtime.h"
#include "ops/cuda/platform.cuh"

namespace driftless {
namespace {

constexpr struct {
  CudaPrecision precision;
  double tolerance;
} kPrecisions[] = {
    {CudaPrecision::f32, 1e-5}, {CudaPrecision::bf16, 3e-2}, {CudaPrecision::f16, 4e-3}};

TEST_F(CudaOps, LinearWithEveryTailByTheLibraryAndByOurOwnKernel) {
  const int64_t rows = 34, in = 40, out = 24;
  const Tensor x = random({rows, in}), weight = random({out, in}, 0.15f), bias = random({out});
  const Tensor residual = random({rows, out}), gate = random({2, out});
  for (const auto& [precision, tolerance] : kPrecisions) {
    for (const bool library : {true, false}) {
      const auto ops = make(precision, library);
      for (const Tensor& b : {bias, Tensor()}) {
        const auto packed = ops->pack_linear(weight, b), plain = reference->pack_linear(weight, b);
        for (const Activation activation :
             {Activation::none, Activation::gelu_tanh, Activation::silu}) {
          for (const int extras : {0, 1, 2}) {  // None, residual, gated residual.
            LinearEpilogue epilogue;
            epilogue.activation = activation;
            if (extras > 0) epilogue.residual = residual;
            if (extras > 1) epilogue.gate = {gate.f32(), 2, out};
            const Tensor expected = arena.tensor({rows, out});
            reference->linear(*plain, x, expected, epilogue);
            const Tensor y = arena.copy(residual);
            if (extras > 0) epilogue.residual = y;  // In place.
            ops->linear(*packed, x, y, epilogue);
            SCOPED_TRACE(::testing::Message() << static_cast<int>(precision) << library
                                              << static_cast<int>(activation) << extras);
            expect_close(expected, y, tolerance);
          }
        }
      }
    }
  }
  EXPECT_EQ(std::vector<std::string>(), recorded_calls().problems);
  EXPECT_EQ(3 * 2 * 3 * 3, recorded_calls().products);
}

// The gate of a residual in the product's own epilogue, where that says the same and is sooner.
TEST_F(CudaOps, GatesInTheProductWhereThatIsBetter) {
  const int64_t per_gate = 6, in = 40, out = 24, d = 3 * out;
  const Tensor x = random({4 * per_gate, in}), weight = random({out, in}, 0.15f);
  const Tensor residual = random({4 * per_gate, out}), gates = random({4, d}), bias = random({out});
  RecordedCalls& calls = recorded_calls();
  const auto make_with = [](CudaPrecision precision, bool tries = true) {
    CudaOptions options;
    options.precision = precision;
    options.cublaslt = &recording_cublaslt();
    options.clock = recorded_product_seconds;
    options.gated_products = tries;
    return make_cuda_ops(options);
  };
  const auto multiply = [&](Ops& ops, const PackedLinear& packed, int64_t groups, const Tensor& y) {
    const GroupVectors gate{gates.f32() + out, groups, d};
    const LinearEpilogue epilogue{Activation::none, y, gate};
    ops.linear(packed, x.slice(0, groups * per_gate), y, epilogue);
  };
  for (const auto& [precision, tolerance] : kPrecisions) {
    for (const Tensor& b : {bias, Tensor()}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(precision) << b.present());
      calls = {};
      const auto ops = make_with(precision);
      const auto packed = ops->pack_linear(weight, b), plain = reference->pack_linear(weight, b);
      EXPECT_TRUE(ops->prepare_gated(*packed, per_gate));
      const int tried = calls.products;
      EXPECT_TRUE(ops->prepare_gated(*packed, per_gate));
      EXPECT_EQ(tried, calls.products) << "once for each size";
      for (const int64_t groups : {1, 3, 4}) {
        const int before = calls.gated;
        const Tensor all = arena.copy(residual), other = arena.copy(residual);
        const Tensor y = all.slice(0, groups * per_gate), z = other.slice(0, groups * per_gate);
        multiply(*ops, *packed, groups, y);
        multiply(*reference, *plain, groups, z);
        ops->wait();
        expect_close(z, y, tolerance);
        EXPECT_EQ(before + 1, calls.gated);
      }
      // Rows of another size are as they were.
      const int before = calls.gated;
      const GroupVectors gate{gates.f32(), 2, d};
      const Tensor y = arena.copy(residual);
      ops->linear(*packed, x, y, {Activation::none, y, gate});
      EXPECT_EQ(before, calls.gated);
    }
  }
  EXPECT_EQ(std::vector<std::string>(), calls.problems);
  // Not one of the library's kinds, another result, no gain, weights of 8 bits, not wanted.
  for (const int reason : {0, 1, 2, 3, 4}) {
    calls = {};
    calls.gates = reason != 0;
    calls.wrong = reason == 1;
    calls.gated_cost = reason == 2 ? 2 : 1;
    const auto ops = make_with(reason == 3 ? CudaPrecision::fp8 : CudaPrecision::bf16, reason != 4);
    const auto packed = ops->pack_linear(weight, bias, true);
    EXPECT_FALSE(ops->prepare_gated(*packed, per_gate)) << reason;
    const int tried = calls.gated;
    const Tensor y = arena.copy(residual), z = arena.copy(residual);
    multiply(*ops, *packed, 4, y);
    multiply(*reference, *reference->pack_linear(weight, bias), 4, z);
    ops->wait();
    expect_close(z, y, reason == 3 ? 0.15 : 4e-2);
    EXPECT_EQ(tried, calls.gated) << reason;
  }
  // No room for the trial is no reason to fail.
  calls = {};
  const auto ops = make_with(CudaPrecision::bf16);
  const auto packed = ops->pack_linear(weight, bias);
  emulation::machine().memory_bytes = emulation::device_bytes() + 100;
  EXPECT_FALSE(ops->prepare_gated(*packed, per_gate));
}

TEST_F(CudaOps, AnAlgorithmIsChosenOncePerSizeAndOurKernelStandsIn) {
  const auto ops = make(CudaPrecision::f32, true);
  const Tensor weight = random({5, 6}), x = random({4, 6}), y = arena.tensor({4, 5});
  const auto packed = ops->pack_linear(weight, {});
  for (int i = 0; i < 3; ++i) ops->linear(*packed, x, y);
  EXPECT_EQ(1, recorded_calls().heuristics);
  EXPECT_EQ(3, recorded_calls().products);
  ops->linear(*packed, x.slice(0, 2), y.slice(0, 2));
  EXPECT_EQ(2, recorded_calls().heuristics);

  recorded_calls() = {};
  recorded_calls().refuse_above = 10;
  const auto refused = make(CudaPrecision::f32, true);
  const auto packed_again = refused->pack_linear(weight, {});
  const Tensor expected = arena.copy(y);
  refused->linear(*packed_again, x, y);
  EXPECT_EQ(0, recorded_calls().products);
  expect_close(expected, y);
}

TEST_F(CudaOps, ARowOfOurOwnProductDoesNotDependOnTheRowsBesideIt) {
  const Tensor x = random({70, 33}), weight = random({65, 33}), bias = random({65});
  for (const auto& [precision, tolerance] : kPrecisions) {
    const auto ops = make(precision, false);
    const auto packed = ops->pack_linear(weight, bias);
    const Tensor all = arena.tensor({70, 65}), one = arena.tensor({1, 65});
    ops->linear(*packed, x, all);
    ops->linear(*packed, x.slice(67, 68), one);
    expect_close(all.slice(67, 68), one, 0.0);
  }
}

TEST_F(CudaOps, ConvolutionAndAttentionInReducedPrecision) {
  ConvOptions options;
  options.second_input_channels = 8;
  const Tensor x = random({2, 7, 6, 16}), x2 = random({2, 7, 6, 8});
  const Tensor weight = random({12, 24, 3, 3}, 0.07f), bias = random({12});
  const Tensor expected = arena.tensor({2, 7, 6, 12}), y = arena.tensor({2, 7, 6, 12});
  reference->conv2d(*reference->pack_conv(weight, bias, options), x, x2, {}, Activation::relu,
                    expected);
  const Tensor q = random({13, 2, 24}), k = random({70, 2, 24}), v = random({70, 2, 24});
  const Tensor attended = arena.tensor(q.shape()), got = arena.tensor(q.shape());
  AttentionRow row = {q.f32(), k.f32(), v.f32(), attended.f32(), 13, 70};
  reference->attention(&row, 1, 2, 24, 0.2f);
  row.out = got.f32();
  for (const auto& [precision, tolerance] : kPrecisions) {
    const auto ops = make(precision, false);
    ops->conv2d(*ops->pack_conv(weight, bias, options), x, x2, {}, Activation::relu, y);
    expect_close(expected, y, tolerance);
    ops->attention(&row, 1, 2, 24, 0.2f);
    expect_close(attended, got, tolerance);
  }
}

// Frames go through two pieces of pinned memory in turns, or the driver's way where there is none.
TEST_F(CudaOps, CopiesOfAnySizeToTheDeviceAndBack) {
  for (const bool pinned : {true, false}) {
    emulation::machine().has_pinned_memory = pinned;
    const auto ops = make(CudaPrecision::f32, false);
    Arena host;
    for (const int64_t bytes : {int64_t{1}, int64_t{70000}, int64_t{1} << 20, int64_t{5000001}}) {
      Arena device(static_cast<size_t>(bytes), 0, cuda_memory());
      const Tensor from = host.tensor({bytes}, DType::u8), back = host.tensor({bytes}, DType::u8);
      const Tensor there = device.tensor({bytes}, DType::u8);
      auto* values = static_cast<uint8_t*>(from.data());
      const auto value = [](int64_t i) { return static_cast<uint8_t>(i * 2654435761u >> 13); };
      for (int64_t i = 0; i < bytes; ++i) values[i] = value(i);
      ops->copy(from, there);
      std::fill_n(values, bytes, uint8_t{0});  // Its owner may use it again.
      ops->copy(there, back);
      const auto* got = static_cast<const uint8_t*>(back.data());
      int64_t wrong = 0;
      for (int64_t i = 0; i < bytes; ++i) wrong += got[i] != value(i);
      EXPECT_EQ(0, wrong) << bytes << " bytes";
    }
  }
}

TEST_F(CudaOps, MemoryOfTheWrongSideIsAnError) {
  const auto ops = make(CudaPrecision::f32, false);
  Arena host, device(size_t{1} << 16, 0, cuda_memory());
  const Tensor x = random({2, 3});
  expect_error(
      [&] {
        ops->activate(Activation::relu, x, host.tensor({2, 3}));
      },
      {"device or unified memory", "host memory"});
  const Tensor there = device.tensor({2, 3});
  EXPECT_EQ(Memory::device, there.slice(0, 1).memory());
  EXPECT_EQ(Memory::device, there.at(1).reshape({3, 1}).memory());
  ops->activate(Activation::relu, x, there);
  expect_error([&] { there.f32(); }, {"tensor memory", "host"});
  expect_error([&] { device.zeros({1}); }, {"arena memory"});
  expect_error([&] { reference->activate(Activation::relu, there, x); }, {"tensor memory"});
}

TEST_F(CudaOps, NothingIsLeftBehindAndAFullDeviceRefuses) {
  const Tensor weight = random({5, 6}), bias = random({5}), x = random({4, 6});
  const Tensor y = arena.tensor({4, 5}), large = random({50, 60}), small = random({1, 2});
  const size_t before = emulation::device_bytes();
  {
    const auto ops = make(CudaPrecision::bf16, true);
    const auto packed = ops->pack_linear(weight, bias);
    ops->linear(*packed, x, y);
    EXPECT_GT(emulation::device_bytes(), before);
    emulation::machine().memory_bytes = emulation::device_bytes() + 100;
    expect_error([&] { ops->pack_linear(large, {}); }, {"GPU memory", "out of memory"});
    // The next request that fits is served.
    ops->pack_linear(small, {});
  }
  EXPECT_EQ(before, emulation::device_bytes());
}

TEST_F(CudaOps, WhatIsMissingIsSaid) {
  emulation::Machine& machine = emulation::machine();
  const auto refused = [&](const std::vector<std::string>& parts) {
    const std::string text = inspect_cuda().text();
    for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << text;
    expect_error([&] { make_cuda_ops(CudaOptions{}); }, parts);
    machine = {};
  };
  machine.driver_version = 0;
  machine.device_count_error = cudaErrorInsufficientDriver;
  refused({"no NVIDIA driver"});
  machine.driver_version = 12040;
  machine.device_count_error = cudaErrorInsufficientDriver;
  refused({"for CUDA 12.4", "13.0"});
  machine.devices = 0;
  machine.device_count_error = cudaErrorNoDevice;
  refused({"no CUDA-capable device"});
  machine.major = 7;
  refused({"8.0 or newer"});
  machine.has_kernels = false;
  refused({"no kernel image", "DRIFTLESS_CUDA_ARCHITECTURES"});
  EXPECT_NE(inspect_cuda().text().find("CUDA: usable"), std::string::npos);
  CudaOptions options;
  options.device = 3;
  expect_error([&] { make_cuda_ops(options); }, {"CUDA device", "0..0", "3"});
  expect_error([] { cuda::lt::load_api({"libdriftless-none.so.1"}); }, {"cuBLASLt", "none.so.1"});
  expect_error([] { cuda::lt::load_api({"libm.so.6"}); }, {"cublasLtGetVersion"});
}

}  // namespace
}  // namespace driftless
