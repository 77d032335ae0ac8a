#pragma once

// What the panel kernel multiplies: words of four bytes, each a float or a pair of bf16 values.

#include "ops/vector_math.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace driftless {

/// A float, or two consecutive bf16 values, the earlier one in the low half.
typedef uint32_t Word __attribute__((may_alias));
enum class WordType { f32, bf16 };

inline int64_t values_per_word(WordType type) { return type == WordType::bf16 ? 2 : 1; }
inline int64_t words_for(WordType type, int64_t values) {
  return type == WordType::bf16 ? (values + 1) / 2 : values;
}

/// Whether this build multiplies bf16 natively.
constexpr bool kHasBf16 =
#if defined(__AVX512BF16__)
    true;
#else
    false;
#endif

/// Upper half of a float, rounded to nearest, ties to even. Not for NaN.
inline uint32_t bf16_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}
inline Word bf16_pair(float first, float second) {
  return bf16_bits(first) | bf16_bits(second) << 16;
}

/// `count` floats as words of the type; an odd last value is paired with zero.
inline void to_words(WordType type, const float* from, int64_t count, Word* to) {
  if (type == WordType::f32) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  int64_t i = 0;
#if defined(__AVX512BF16__)
  for (; i + 32 <= count; i += 32) {
    const __m512bh pairs =
        _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + i + 16), _mm512_loadu_ps(from + i));
    std::memcpy(to + i / 2, &pairs, sizeof pairs);
  }
#endif
  for (; i + 2 <= count; i += 2) to[i / 2] = bf16_pair(from[i], from[i + 1]);
  if (i < count) to[i / 2] = bf16_pair(from[i], 0.0f);
}

/// One multiply-add of each kind: sum + x * w, lane by lane, all products of a word.
struct F32Dot {
  static Vec add(Vec sum, IntVec x, IntVec w) {
    Vec a, b;
    std::memcpy(&a, &x, sizeof a);
    std::memcpy(&b, &w, sizeof b);
    return sum + a * b;
  }
};
#if defined(__AVX512BF16__)
struct Bf16Dot {
  static Vec add(Vec sum, IntVec x, IntVec w) {
    return reinterpret_cast<Vec>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum),
                                                  reinterpret_cast<__m512bh>(x),
                                                  reinterpret_cast<__m512bh>(w)));
  }
};
#endif

inline IntVec load_words(const Word* from) {
  IntVec v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline IntVec splat_word(Word word) { return static_cast<int32_t>(word) - IntVec{}; }

}  // namespace driftless
