#pragma once

// How much a sink (an anchor frame at the head of the ring) still resembles the picture.

#include <cstddef>

namespace driftless {

// 0.5 * (cos(mean K of the sink, mean K of the chunk) + the same of V), means over `tokens` tokens
// of `dim` channels. A sink of zeros has similarity 0.
float sink_similarity(const float* sink_k, const float* sink_v, const float* chunk_k,
                      const float* chunk_v, size_t tokens, size_t dim);

}  // namespace driftless
