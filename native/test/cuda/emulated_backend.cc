// Linked into a program beside the emulation, it makes "cuda" the emulated device.

#include "ops/cuda/cuda_ops.h"
#include "ops/ops.h"

namespace driftless {
namespace {

[[maybe_unused]] const bool kSet = [] {
  cuda_backend() = [](int device, const std::string& dtype) {
    CudaOptions options;
    options.device = device;
    options.precision = cuda_precision(dtype);
    return make_cuda_ops(options);
  };
  return true;
}();

}  // namespace
}  // namespace driftless
