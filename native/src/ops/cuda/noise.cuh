#pragma once

// The noise of core/philox.h on the device: the same counters, so that a seed means the same
// picture on every backend (up to the last bit of logarithm and cosine).

#include "ops/cuda/platform.cuh"

namespace driftless {
namespace cuda {

constexpr int kNoiseThreads = 128;

/// Philox4x32-10 of one counter (Salmon et al. 2011).
__device__ __forceinline__ void philox(uint32_t (&counter)[4], uint32_t key0, uint32_t key1) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter[0] = static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0;
    counter[1] = static_cast<uint32_t>(product1);
    counter[2] = static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1;
    counter[3] = static_cast<uint32_t>(product0);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

/// A thread makes the four values of one counter.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    normal_noise_kernel(uint64_t seed, uint64_t stream, uint64_t first, int64_t count, float* y) {
  const uint64_t block = first / 4 + uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  uint32_t bits[4] = {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                      static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
  philox(bits, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
#pragma unroll
  for (int lane = 0; lane < 4; ++lane) {
    const int64_t at = static_cast<int64_t>(4 * block + lane - first);
    if (at < 0 || at >= count) continue;
    const double u = (bits[lane / 2 * 2] + 1.0) * 2.3283064365386963e-10;  // 2^-32
    const double angle = 6.283185307179586 * (bits[lane / 2 * 2 + 1] * 2.3283064365386963e-10);
    const double radius = sqrt(-2.0 * log(u));
    y[at] = static_cast<float>(radius * (lane % 2 == 0 ? cos(angle) : sin(angle)));
  }
}

/// y [count]: values first .. first + count - 1 of the stream.
inline void normal_noise(uint64_t seed, uint64_t noise_stream, uint64_t first, int64_t count,
                         float* y, cudaStream_t stream) {
  const int64_t blocks =
      count == 0 ? 0 : static_cast<int64_t>((first + count - 1) / 4 - first / 4 + 1);
  launch("normal_noise", normal_noise_kernel<kNoiseThreads>,
         dim3(static_cast<unsigned>(ceil_div<int64_t>(blocks, kNoiseThreads))), dim3(kNoiseThreads),
         0, stream, seed, noise_stream, first, count, y);
}

}  // namespace cuda
}  // namespace driftless
