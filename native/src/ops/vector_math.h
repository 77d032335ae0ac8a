#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace driftless {

/// The widest float vector of the target (GCC vector extension, so one source serves SSE, AVX2
/// and AVX-512).
#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float Vec __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t IntVec __attribute__((vector_size(kLanes * sizeof(int32_t))));

inline Vec load_vec(const float* from) {
  Vec v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void store_vec(float* to, Vec v) { std::memcpy(to, &v, sizeof v); }

#if defined(__AVX__) && !defined(__AVX512F__)
/// All bits set in the first `count` lanes.
inline __m256i first_lanes(int64_t count) {
  static constexpr int32_t kMask[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1};
  __m256i mask;
  std::memcpy(&mask, kMask + kLanes - count, sizeof mask);
  return mask;
}
#endif

/// The first `count` (0..kLanes) floats at `from`, the other lanes zero. Nothing else is read.
inline Vec load_part(const float* from, int64_t count) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(
      _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from));
#elif defined(__AVX__)
  return reinterpret_cast<Vec>(_mm256_maskload_ps(from, first_lanes(count)));
#else
  Vec v = {};
  for (int64_t i = 0; i < count; ++i) v[i] = from[i];
  return v;
#endif
}
/// Stores the first `count` lanes and touches nothing else.
inline void store_part(float* to, Vec v, int64_t count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), reinterpret_cast<__m512>(v));
#elif defined(__AVX__)
  _mm256_maskstore_ps(to, first_lanes(count), reinterpret_cast<__m256>(v));
#else
  for (int64_t i = 0; i < count; ++i) to[i] = v[i];
#endif
}
/// All lanes equal. Written with a subtraction because `Vec{} + x` costs an addition (-0.0).
inline Vec splat(float x) { return x - Vec{}; }

inline float sum_lanes(Vec v) {
  float total = 0.0f;
  for (int lane = 0; lane < kLanes; ++lane) total += v[lane];
  return total;
}

/// exp(x), relative error below 2e-7. x is limited to -80..80 (2e-35..6e34), so that neither the
/// result nor its reciprocal is a denormal number, which would cost a hundred times as much.
inline Vec exp_vec(Vec x) {
  const Vec low = splat(-80.0f), high = splat(80.0f);
  x = x < low ? low : x;
  x = x > high ? high : x;
  // x = n ln 2 + r. Adding 1.5 * 2^23 rounds to the nearest integer n.
  const Vec shifted = x * 1.44269504f + 12582912.0f;
  const Vec n = shifted - 12582912.0f;
  const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  IntVec bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = ((bits - 0x4B400000) + 127) << 23;
  Vec power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

/// 1 / x for normal numbers, relative error below 2e-7: an estimate of 14 bits and a step of
/// Newton's, since a division takes longer than all of an exponential.
inline Vec reciprocal_vec(Vec x) {
#if defined(__AVX512F__)
  const Vec guess = reinterpret_cast<Vec>(_mm512_rcp14_ps(reinterpret_cast<__m512>(x)));
  return guess + guess * (1.0f - x * guess);
#else
  return 1.0f / x;
#endif
}

inline Vec sigmoid_vec(Vec x) { return reciprocal_vec(1.0f + exp_vec(-x)); }
inline Vec silu_vec(Vec x) { return x * sigmoid_vec(x); }
/// 0.5 x (1 + tanh(u)) = x sigmoid(2u), which has no cancellation.
inline Vec gelu_tanh_vec(Vec x) {
  return x * sigmoid_vec(x * (1.5957691216f + 0.0713548162726f * (x * x)));
}
inline Vec relu_vec(Vec x) { return x > 0.0f ? x : Vec{}; }

/// Applies `function(Vec) -> Vec` to count floats.
template <typename Function>
inline void map_vec(const float* in, float* out, int64_t count, Function function) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store_vec(out + i, function(load_vec(in + i)));
  if (i < count) store_part(out + i, function(load_part(in + i, count - i)), count - i);
}

}  // namespace driftless
