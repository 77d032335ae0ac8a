#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/cuda/cudnn_api.h"

namespace driftless {

/// A double of cuDNN's graph API that knows one operation, attention, and computes on the CPU
/// exactly what the tensors' dimensions and strides say. A call that the library would refuse gives
/// status 2000 (bad parameter) and adds to recorded_attention().problems.
const cuda::dnn::Api& recording_cudnn();

struct RecordedAttention {
  int plans = 0, runs = 0;  ///< Made; done, also as part of a graph.
  std::vector<std::string> problems;
  int descriptors = 0;             ///< Created and not yet destroyed.
  bool refuses = false;            ///< There is no engine; tests set this and what follows.
  bool wrong = false;              ///< Forgets the last key.
  int delay_ms = 0;                ///< Of each run.
  int64_t workspace_bytes = 4096;  ///< Of plans that are made from now on.
};
RecordedAttention& recorded_attention();

}  // namespace driftless
