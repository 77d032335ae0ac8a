// The emulation itself: that it computes what a device computes, and that it catches the mistakes
// which it is there to catch. The broken kernels below are broken on purpose.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ops/cuda/ptx.cuh"
#include "ops_test_support.h"

namespace driftless {
namespace {

using cuda::bf16;
using cuda::f16;
using emulation::Order;

class CudaEmulation : public ::testing::Test {
 protected:
  ~CudaEmulation() override { emulation::set_options({}); }

  /// Results of `run` in every order of threads, each NaN-safe comparable as bits.
  template <typename Run>
  std::vector<std::vector<float>> in_all_orders(const Run& run) {
    std::vector<std::vector<float>> results;
    for (const auto& options :
         {emulation::Options{Order::ascending, 0}, emulation::Options{Order::descending, 0},
          emulation::Options{Order::random, 1}, emulation::Options{Order::random, 2}}) {
      emulation::set_options(options);
      results.push_back(run());
    }
    return results;
  }
  static bool all_equal(const std::vector<std::vector<float>>& results,
                        const std::vector<float>& expected) {
    for (const auto& result : results) {
      if (std::memcmp(result.data(), expected.data(), expected.size() * sizeof(float)) != 0) {
        return false;
      }
    }
    return true;
  }
};

constexpr int kThreads = 64;

struct Exchange {
  float values[kThreads];
};

/// Each thread hands its value to the one opposite through shared memory.
template <bool kBarrier>
__global__ void reverse_kernel(const float* x, float* y) {
  auto& shared = cuda::shared_memory<Exchange>();
  shared.values[threadIdx.x] = x[threadIdx.x];
  if (kBarrier) __syncthreads();
  y[threadIdx.x] = shared.values[kThreads - 1 - threadIdx.x];
}

/// The same by asynchronous copies of four values, by 16 threads.
template <bool kWait, bool kBarrier>
__global__ void reverse_async_kernel(const float* x, float* y) {
  auto& shared = cuda::shared_memory<Exchange>();
  if (threadIdx.x < kThreads / 4) {
    cuda::cp_async16(shared.values + 4 * threadIdx.x, x + 4 * threadIdx.x, true);
  }
  cuda::cp_async_commit();
  if (kWait) cuda::cp_async_wait<0>();
  if (kBarrier) __syncthreads();
  y[threadIdx.x] = shared.values[kThreads - 1 - threadIdx.x];
}

/// A stage of a pipeline that waits for one group too few.
template <int kPending>
__global__ void two_stage_kernel(const float* x, float* y) {
  auto& shared = cuda::shared_memory<Exchange>();
  if (threadIdx.x == 0) cuda::cp_async16(shared.values, x, true);
  cuda::cp_async_commit();
  if (threadIdx.x == 0) cuda::cp_async16(shared.values + 4, x + 4, true);
  cuda::cp_async_commit();
  cuda::cp_async_wait<kPending>();
  __syncthreads();
  if (threadIdx.x < 8) y[threadIdx.x] = shared.values[threadIdx.x];
}

class Exchanges : public CudaEmulation {
 protected:
  Exchanges() : x(kThreads), reversed(kThreads) {
    for (int i = 0; i < kThreads; ++i) {
      x[static_cast<size_t>(i)] = static_cast<float>(i + 1);
      reversed[static_cast<size_t>(i)] = static_cast<float>(kThreads - i);
    }
  }
  auto run(void (*kernel)(const float*, float*)) {
    return in_all_orders([&] {
      std::vector<float> y(kThreads);
      cuda::launch("exchange", kernel, dim3(1), dim3(kThreads), sizeof(Exchange), nullptr, x.data(),
                   y.data());
      return y;
    });
  }
  std::vector<float> x;
  std::vector<float> reversed;
};

TEST_F(Exchanges, AMissingBarrierShows) {
  EXPECT_TRUE(all_equal(run(reverse_kernel<true>), reversed));
  EXPECT_FALSE(all_equal(run(reverse_kernel<false>), reversed));
}

TEST_F(Exchanges, AnAsynchronousCopyNeedsItsWaitAndABarrier) {
  EXPECT_TRUE(all_equal(run(reverse_async_kernel<true, true>), reversed));
  EXPECT_FALSE(all_equal(run(reverse_async_kernel<true, false>), reversed));
  // Without the wait nobody ever sees the data, whatever the order.
  for (const auto& result : run(reverse_async_kernel<false, true>)) {
    for (float value : result) EXPECT_TRUE(std::isnan(value));
  }
}

TEST_F(Exchanges, AWaitLeavesTheNewestGroupsInFlight) {
  for (const auto& result : run(two_stage_kernel<0>)) {
    for (size_t i = 0; i < 8; ++i) EXPECT_EQ(x[i], result[i]);
  }
  for (const auto& result : run(two_stage_kernel<1>)) {
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(x[i], result[i]);
    for (size_t i = 4; i < 8; ++i) EXPECT_TRUE(std::isnan(result[i]));
  }
}

__global__ void read_unwritten_kernel(float* y) {
  y[threadIdx.x] = cuda::shared_memory<Exchange>().values[threadIdx.x];
}
TEST_F(CudaEmulation, SharedMemoryNobodyWroteIsNan) {
  std::vector<float> y(kThreads);
  cuda::launch("read", read_unwritten_kernel, dim3(2), dim3(kThreads), sizeof(Exchange), nullptr,
               y.data());
  for (float value : y) EXPECT_TRUE(std::isnan(value));
}

__global__ void half_a_warp_shuffles_kernel(float* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_xor_sync(cuda::kAllLanes, y[threadIdx.x], 1);
}
__global__ void half_a_warp_waits_kernel(float* y) {
  if (threadIdx.x < 16)
    __syncwarp();
  else
    __syncthreads();
  y[0] = 1.0f;
}
__global__ void wrong_mask_kernel(float* y) {
  y[threadIdx.x] = __shfl_sync(0xfffffffeu, y[threadIdx.x], 1);
}
__global__ void misaligned_load_kernel(float* y) { y[0] = cuda::load<float, 4>(y + 1).v[0]; }
__global__ void far_copy_kernel(float* y) {
  cuda::cp_async16(&cuda::shared_memory<Exchange>().values[kThreads], y, true);
}

TEST_F(CudaEmulation, MistakesBetweenThreadsAreErrors) {
  alignas(16) float y[kThreads] = {};
  const auto run = [&](void (*kernel)(float*), size_t shared = sizeof(Exchange)) {
    cuda::launch("broken", kernel, dim3(1), dim3(32), shared, nullptr, y + 0);
  };
  expect_error([&] { run(half_a_warp_shuffles_kernel); }, {"threads that meet", "__shfl_xor_sync"});
  expect_error([&] { run(half_a_warp_waits_kernel); },
               {"threads that meet", "barrier", "syncwarp"});
  expect_error([&] { run(wrong_mask_kernel); }, {"mask", "calling lane"});
  expect_error([&] { run(misaligned_load_kernel); }, {"vector load", "aligned"});
  expect_error([&] { run(far_copy_kernel); }, {"cp.async", "shared memory"});
  expect_error([&] { run(read_unwritten_kernel, 200 << 10); }, {"shared memory of a block"});
  expect_error(
      [&] { cuda::launch("big", read_unwritten_kernel, dim3(1), dim3(2048), 0, nullptr, y + 0); },
      {"threads of a block", "2048"});
  // A launch after a failed one is a fresh start.
  cuda::launch("fine", read_unwritten_kernel, dim3(1), dim3(32), sizeof(Exchange), nullptr, y + 0);
}

__global__ void sums_kernel(const float* x, float* y, int* count) {
  auto& shared = cuda::shared_memory<cuda::BlockSum<96>>();
  const float sum = cuda::block_sum(x[blockIdx.x * 96 + threadIdx.x], shared);
  if (threadIdx.x == 95) y[blockIdx.x] = sum;
  atomicAdd(count, 1);
}
TEST_F(CudaEmulation, ShufflesBarriersAndAtomicsOverSeveralWarpsAndBlocks) {
  std::vector<float> x(96 * 3);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  int count = 0;
  const auto results = in_all_orders([&] {
    std::vector<float> y(3);
    cuda::launch("sums", sums_kernel, dim3(3), dim3(96), sizeof(cuda::BlockSum<96>), nullptr,
                 x.data(), y.data(), &count);
    return y;
  });
  EXPECT_TRUE(all_equal(results, {95 * 48, 96 * 96 + 95 * 48, 2 * 96 * 96 + 95 * 48}));
  EXPECT_EQ(4 * 96 * 3, count);
}

struct Tiles {
  f16 a[16 * 16];
  f16 b[16 * 16];  // [k][n] for the transposed load, [n][k] for the other.
};

template <bool kTransposed>
__global__ void product_kernel(const float* a, const float* b, float* c) {
  auto& shared = cuda::shared_memory<Tiles>();
  const int lane = threadIdx.x;
  for (int i = lane; i < 256; i += 32) {
    shared.a[i] = cuda::from_float<f16>(a[i]);
    const int k = i / 16, n = i % 16;
    shared.b[kTransposed ? i : n * 16 + k] = cuda::from_float<f16>(b[i]);
  }
  __syncwarp();
  uint32_t left[4], right[4];
  cuda::ldmatrix_x4(left, shared.a + lane % 16 * 16 + lane / 16 * 8);
  if (kTransposed) {
    cuda::ldmatrix_x4_trans(right, shared.b + lane % 16 * 16 + lane / 16 * 8);
  } else {
    cuda::ldmatrix_x4(right, shared.b + (lane / 16 * 8 + lane % 8) * 16 + lane / 8 % 2 * 8);
  }
  for (int half = 0; half < 2; ++half) {
    float sums[4] = {};
    cuda::mma_m16n8k16<f16>(sums, left, right[2 * half], right[2 * half + 1]);
    for (int i = 0; i < 4; ++i) {
      c[(lane / 4 + i / 2 * 8) * 16 + half * 8 + lane % 4 * 2 + i % 2] = sums[i];
    }
  }
}

TEST_F(CudaEmulation, MatrixFragmentsMultiplyASixteenBySixteenTile) {
  std::vector<float> a(256), b(256), expected(256, 0.0f);
  for (int i = 0; i < 256; ++i) {
    a[static_cast<size_t>(i)] = static_cast<float>(i * 7 % 13 - 6);
    b[static_cast<size_t>(i)] = static_cast<float>(i * 5 % 11 - 5);
  }
  for (size_t i = 0; i < 256; ++i) {
    for (size_t k = 0; k < 16; ++k) expected[i] += a[i / 16 * 16 + k] * b[k * 16 + i % 16];
  }
  for (auto* kernel : {product_kernel<false>, product_kernel<true>}) {
    std::vector<float> c(256);
    cuda::launch("product", kernel, dim3(1), dim3(32), sizeof(Tiles), nullptr, a.data(), b.data(),
                 c.data());
    EXPECT_EQ(expected, c);
  }
}

TEST_F(CudaEmulation, SixteenBitNumbersRoundToNearestEven) {
  // Every finite half survives the way to f32 and back; the middle between two goes to the even.
  for (unsigned bits = 0; bits < 0x7c00; ++bits) {
    const f16 half = {static_cast<uint16_t>(bits)}, next = {static_cast<uint16_t>(bits + 1)};
    const float value = __half2float(half);
    ASSERT_EQ(half.bits, __float2half_rn(value).bits);
    ASSERT_EQ(half.bits | 0x8000, __float2half_rn(-value).bits);
    if (bits + 1 == 0x7c00) continue;
    const float middle = (value + __half2float(next)) / 2;
    ASSERT_EQ(bits % 2 == 0 ? half.bits : next.bits, __float2half_rn(middle).bits) << bits;
  }
  EXPECT_EQ(0x7bff, __float2half_rn(65519.0f).bits);
  EXPECT_EQ(0x7c00, __float2half_rn(65520.0f).bits);
  EXPECT_EQ(1.0f, __half2float(f16{0x3c00}));
  EXPECT_EQ(0x3f80, __float2bfloat16_rn(1.00390625f).bits);  // The middle, to the even.
  EXPECT_EQ(0x3f82, __float2bfloat16_rn(1.01171875f).bits);
  EXPECT_TRUE(std::isnan(__bfloat162float(__float2bfloat16_rn(NAN))));
}

}  // namespace
}  // namespace driftless
