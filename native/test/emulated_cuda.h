#pragma once

// The engine on the emulated GPU: while one lives, the backend "cuda" is that of the emulation, and
// the machine is lazy: who reads or reuses memory too early is found out.

#include "cuda/recording_cublaslt.h"
#include "cuda/recording_cudnn.h"
#include "cuda/recording_nccl.h"
#include "emulation/cuda_runtime.h"
#include "ops/cuda/cuda_ops.h"
#include "ops/ops.h"

namespace driftless {

class EmulatedCuda {
 public:
  // Products by our own kernel, whose rows do not depend on each other to the last bit.
  EmulatedCuda() : before_(cuda_backend()) {
    use_graphs(true);
    emulation::machine().lazy = true;
  }
  ~EmulatedCuda() {
    cuda_backend() = before_;
    emulation::machine() = {};
  }
  EmulatedCuda(const EmulatedCuda&) = delete;
  EmulatedCuda& operator=(const EmulatedCuda&) = delete;

  /// Of operations that are made from now on.
  void use_graphs(bool use) { cuda_backend() = use ? make<kGraphs> : make<0>; }
  void use_cudnn() { cuda_backend() = make<kGraphs | kCudnn>; }
  void use_nccl() { cuda_backend() = make<kGraphs | kNccl>; }

 private:
  enum With : unsigned { kGraphs = 1, kCudnn = 2, kNccl = 4 };

  template <unsigned kWith>
  static std::unique_ptr<Ops> make(int device, const std::string& dtype) {
    CudaOptions options;
    options.device = device;
    options.precision = cuda_precision(dtype);
    options.graphs = (kWith & kGraphs) != 0;
    if (kWith & kNccl) options.nccl = &recording_nccl();
    if (kWith & kCudnn) {
      options.cudnn = &recording_cudnn();
      options.clock = recorded_seconds;
    }
    return make_cuda_ops(options);
  }

  CudaBackend before_;
};

}  // namespace driftless
