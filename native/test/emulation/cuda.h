#pragma once

// The part of CUDA C++ and of its runtime that the engine uses, for the emulation: kernels and the
// host code around them compile against this instead of NVIDIA's headers. Included by
// ops/cuda/platform.cuh wherever nvcc is not the compiler.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "emulation/simt.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)

#define threadIdx (::driftless::emulation::position().thread)
#define blockIdx (::driftless::emulation::position().block)
#define blockDim (::driftless::emulation::position().block_size)
#define gridDim (::driftless::emulation::position().grid_size)

// ---- Types --------------------------------------------------------------------------------------

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct __nv_bfloat16 {
  uint16_t bits;
};
struct __half {
  uint16_t bits;
};

inline float __bfloat162float(__nv_bfloat16 x) {
  const uint32_t bits = uint32_t{x.bits} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// To nearest, ties to even.
inline __nv_bfloat16 __float2bfloat16_rn(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (x != x) return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

inline float __half2float(__half x) {
  const int exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
  float value;
  if (exponent == 31) {
    value = fraction == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    value = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  }
  return x.bits >> 15 ? -value : value;
}

/// To nearest, ties to even; too large becomes infinite.
inline __half __float2half_rn(float x) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const float size = std::fabs(x);
  if (x != x) return {0x7fff};
  if (size == 0.0f) return {sign};
  if (size >= 65520.0f) return {static_cast<uint16_t>(sign | 0x7c00)};
  int exponent;
  std::frexp(size, &exponent);
  // The spacing of halves around `size`: 2^-24 for subnormals.
  const int unit = exponent - 11 < -24 ? -24 : exponent - 11;
  const int steps = static_cast<int>(std::nearbyint(std::ldexp(size, -unit)));
  // Bits count up continuously through the exponents.
  const int bits = unit == -24 ? steps : ((unit + 24) << 10) + steps;
  return {static_cast<uint16_t>(sign | bits)};
}

using __nv_fp8_storage_t = unsigned char;
enum __nv_fp8_interpretation_t { __NV_E4M3 };
enum __nv_saturation_t { __NV_SATFINITE };

inline __half __nv_cvt_fp8_to_halfraw(__nv_fp8_storage_t x, __nv_fp8_interpretation_t) {
  const int exponent = x >> 3 & 15, fraction = x & 7;
  float size = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                             : std::ldexp(static_cast<float>(fraction + 8), exponent - 10);
  if ((x & 0x7f) == 0x7f) size = NAN;
  return __float2half_rn(x >> 7 ? -size : size);
}

/// To nearest, ties to even.
inline __nv_fp8_storage_t __nv_cvt_float_to_fp8(float x, __nv_saturation_t,
                                                __nv_fp8_interpretation_t) {
  const int sign = std::signbit(x) ? 0x80 : 0;
  if (x != x) return 0x7f;
  const float size = std::min(std::fabs(x), 448.0f);
  int exponent;
  std::frexp(size, &exponent);
  // The spacing of values around `size`: 2^-9 for subnormals.
  const int unit = size == 0.0f || exponent - 4 < -9 ? -9 : exponent - 4;
  const int steps = static_cast<int>(std::nearbyint(std::ldexp(size, -unit)));
  // Bits count up continuously through the exponents.
  return static_cast<__nv_fp8_storage_t>(sign | (unit == -9 ? steps : ((unit + 9) << 3) + steps));
}

// ---- Mathematics --------------------------------------------------------------------------------

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
using std::max;
using std::min;

// ---- Threads that meet --------------------------------------------------------------------------

inline void __syncthreads() { driftless::emulation::sync_block(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  driftless::emulation::meet("__syncwarp", mask, nullptr, [](void* const*, unsigned) {});
}

namespace driftless {
namespace emulation {

template <typename T>
struct Shuffle {
  T value, result;
  unsigned from;
};

template <typename T>
T shuffle(const char* what, unsigned mask, T value, unsigned from) {
  Shuffle<T> mine{value, value, from};
  meet(what, mask, &mine, [](void* const* lanes, unsigned mask) {
    for (unsigned lane = 0; lane < 32; ++lane) {
      if ((mask >> lane & 1) == 0) continue;
      auto* self = static_cast<Shuffle<T>*>(lanes[lane]);
      const auto* other = static_cast<const Shuffle<T>*>(lanes[self->from % 32]);
      // The value of a lane that takes no part is undefined: poison.
      if (other == nullptr) {
        std::memset(&self->result, 0xff, sizeof self->result);
      } else {
        self->result = other->value;
      }
    }
  });
  return mine.result;
}

}  // namespace emulation
}  // namespace driftless

template <typename T>
T __shfl_sync(unsigned mask, T value, int lane) {
  return driftless::emulation::shuffle("__shfl_sync", mask, value, static_cast<unsigned>(lane));
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  const unsigned lane = driftless::emulation::position().linear % 32;
  return driftless::emulation::shuffle("__shfl_xor_sync", mask, value,
                                       lane ^ static_cast<unsigned>(lanes));
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta) {
  const unsigned lane = driftless::emulation::position().linear % 32;
  return driftless::emulation::shuffle("__shfl_down_sync", mask, value,
                                       lane + delta < 32 ? lane + delta : lane);
}

/// Threads switch only where they meet, so reading and writing back is atomic.
template <typename T>
T atomicAdd(T* at, T value) {
  const T before = *at;
  *at += value;
  return before;
}

// ---- The runtime --------------------------------------------------------------------------------

#include "emulation/cuda_runtime.h"
