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
  std::vector<std::string> problems;
  /// Sizes (m * n * k) that the double has no algorithm for; tests set it.
  int64_t refuse_above = int64_t{1} << 60;
};
RecordedCalls& recorded_calls();

}  // namespace driftless
