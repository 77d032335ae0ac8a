#pragma once

#include <algorithm>
#include <utility>

#include "ops/words.h"

namespace driftless {

inline IntVec float_bits(Vec v) {
  IntVec bits;
  std::memcpy(&bits, &v, sizeof bits);
  return bits;
}

/// Lane by lane a pair of bf16 values, `first` in the low half.
inline IntVec bf16_pairs(Vec first, Vec second) {
  const auto rounded = [](Vec v) {
    const IntVec bits = float_bits(v);
    return bits + 0x7FFF + (bits >> 16 & 1);
  };
  return (rounded(first) >> 16 & 0xFFFF) | (rounded(second) & static_cast<int32_t>(0xFFFF0000));
}

template <int... kLane>
inline void interleave(IntVec a, IntVec b, IntVec& low, IntVec& high,
                       std::integer_sequence<int, kLane...>) {
  constexpr int kHalf = kLanes / 2;
  low = __builtin_shufflevector(a, b, (kLane % 2 * kLanes + kLane / 2)...);
  high = __builtin_shufflevector(a, b, (kLane % 2 * kLanes + kLane / 2 + kHalf)...);
}

/// Transposes a square of kLanes x kLanes words: interleaving the upper half of the rows with the
/// lower one, log2(kLanes) times.
inline void transpose_square(IntVec (&rows)[kLanes]) {
  IntVec other[kLanes];
  for (int step = 1; step < kLanes; step *= 2) {
    for (int i = 0; i < kLanes / 2; ++i) {
      interleave(rows[i], rows[i + kLanes / 2], other[2 * i], other[2 * i + 1],
                 std::make_integer_sequence<int, kLanes>());
    }
    for (int i = 0; i < kLanes; ++i) rows[i] = other[i];
  }
}

/// from [rows][count] floats, `stride` floats apart, rows <= kLanes -> to [words][kLanes] words,
/// `to_stride` words apart; lanes beyond `rows` become zero.
inline void transpose_to_words(WordType type, const float* from, int64_t stride, int64_t rows,
                               int64_t count, Word* to, int64_t to_stride) {
  const int64_t words = words_for(type, count), step = kLanes * values_per_word(type);
  for (int64_t word = 0; word < words; word += kLanes) {
    const int64_t at = word * values_per_word(type);
    IntVec square[kLanes] = {};
    for (int64_t row = 0; row < rows; ++row) {
      to_words(type, from + row * stride + at, std::min(step, count - at),
               reinterpret_cast<Word*>(&square[row]));
    }
    transpose_square(square);
    const int64_t filled = std::min<int64_t>(kLanes, words - word);
    for (int64_t i = 0; i < filled; ++i) {
      std::memcpy(to + (word + i) * to_stride, &square[i], sizeof square[i]);
    }
  }
}

}  // namespace driftless
