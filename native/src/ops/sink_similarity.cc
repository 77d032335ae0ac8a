#include "ops/sink_similarity.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace driftless {

namespace {

double cosine_of_means(const float* a, const float* b, size_t tokens, size_t dim) {
  std::vector<double> mean_a(dim, 0.0), mean_b(dim, 0.0);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t c = 0; c < dim; ++c) {
      mean_a[c] += static_cast<double>(a[t * dim + c]);
      mean_b[c] += static_cast<double>(b[t * dim + c]);
    }
  }
  double dot = 0, aa = 0, bb = 0;
  for (size_t c = 0; c < dim; ++c) {
    dot += mean_a[c] * mean_b[c];
    aa += mean_a[c] * mean_a[c];
    bb += mean_b[c] * mean_b[c];
  }
  constexpr double kTiny = 1e-16;  // keeps a slot of zeros at 0 instead of 0/0
  return dot / std::sqrt(std::max(aa, kTiny) * std::max(bb, kTiny));
}

}  // namespace

float sink_similarity(const float* sink_k, const float* sink_v, const float* chunk_k,
                      const float* chunk_v, size_t tokens, size_t dim) {
  return static_cast<float>(0.5 * (cosine_of_means(sink_k, chunk_k, tokens, dim) +
                                   cosine_of_means(sink_v, chunk_v, tokens, dim)));
}

}  // namespace driftless
