#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ops/cuda/cudnn_api.h"

namespace driftless {

/// A double of cuDNN's graph API that knows attention, and convolution with sums and a rectifier
/// behind it; it computes on the CPU exactly what the tensors' dimensions and strides say. A call
/// that the library would refuse gives status 2000 (bad parameter) and adds to
/// recorded_cudnn().problems.
const cuda::dnn::Api& recording_cudnn();

struct RecordedCudnn {
  int plans = 0, runs = 0;  ///< Made; done, also as part of a graph.
  std::vector<std::string> problems;
  int descriptors = 0;             ///< Created and not yet destroyed.
  bool refuses = false;            ///< There is no engine; tests set this and what follows.
  bool wrong = false;              ///< Forgets the last key, or the last channel.
  int delay_ms = 0;                ///< Of each run, by recorded_seconds().
  int64_t workspace_bytes = 4096;  ///< Of plans that are made from now on.
};
RecordedCudnn& recorded_cudnn();

/// A clock for CudaOptions by which each of our own kernels takes 10 ms, and each of the library's
/// runs 1 ms and its delay.
double recorded_seconds();

}  // namespace driftless
