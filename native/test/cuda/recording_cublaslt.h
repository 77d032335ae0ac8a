#pragma once

#include <string>
#include <vector>

#include "ops/cuda/cublaslt_api.h"

namespace driftless {

/// A double of cuBLASLt that computes on the CPU exactly what the descriptors say: column-major
/// matrices with the given leading dimensions, transposes, types and epilogue. A call that the
/// library would refuse, or that would make it read or write outside of a matrix, gives status 7
/// (invalid value) and adds to recorded_calls().problems.
const cuda::lt::Api& recording_cublaslt();

struct RecordedCalls {
  int heuristics = 0;  ///< Times that an algorithm was asked for.
  int products = 0;
  int gated = 0;       ///< Of them, those with a vector for alpha.
  int gated_cost = 1;  ///< What one takes by recorded_product_seconds(), in thousandths.
  int plain_cost = 2;  ///< The same of the others.
  bool gates = true;   ///< Whether the double has algorithms with a vector for alpha.
  bool wrong = false;  ///< Whether it leaves out the last of the sums of those.
  std::vector<std::string> problems;
  /// Sizes (m * n * k) that the double has no algorithm for; tests set it.
  int64_t refuse_above = int64_t{1} << 60;
};
RecordedCalls& recorded_calls();
/// A clock that goes on with products only.
double recorded_product_seconds();

}  // namespace driftless
