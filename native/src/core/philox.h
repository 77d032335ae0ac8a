#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace driftless {

/// Philox4x32-10 (Salmon et al., SC'11): a pure function of counter and key, so a session's
/// noise depends on its own seed and position only, never on who shares the batch.
std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// Writes `count` standard normal values. Value i is a function of (seed, stream, first + i)
/// alone: filling in pieces gives the same numbers as filling at once. `stream` separates
/// independent sequences of one seed (for example 0 = fixed noise, n = noise of chunk n).
void fill_normal(uint64_t seed, uint64_t stream, uint64_t first, float* out, size_t count);

}  // namespace driftless
