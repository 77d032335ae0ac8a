#include "core/philox.h"

#include <cmath>

namespace driftless {

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter,
                                      std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

namespace {

/// Four normals from one counter by Box-Muller.
std::array<float, 4> normals(uint64_t seed, uint64_t stream, uint64_t block) {
  const auto bits =
      philox4x32_10({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                     static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                    {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  std::array<float, 4> values;
  for (int pair = 0; pair < 2; ++pair) {
    // (0, 1], so that the logarithm is finite.
    const double u = (bits[2 * pair] + 1.0) * 0x1p-32;
    const double angle = 6.283185307179586 * (bits[2 * pair + 1] * 0x1p-32);
    const double radius = std::sqrt(-2.0 * std::log(u));
    values[2 * pair] = static_cast<float>(radius * std::cos(angle));
    values[2 * pair + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return values;
}

}  // namespace

void fill_normal(uint64_t seed, uint64_t stream, uint64_t first, float* out, size_t count) {
  size_t i = 0;
  while (i < count) {
    const uint64_t index = first + i;
    const auto values = normals(seed, stream, index / 4);
    for (uint64_t lane = index % 4; lane < 4 && i < count; ++lane) out[i++] = values[lane];
  }
}

}  // namespace driftless
