// driftless-cuda-report: what this machine and this build have of CUDA. Exit code 0: a device can
// be used, 3: none can.

#include <iostream>

#ifdef DRIFTLESS_CUDA
#include "ops/cuda/cuda_ops.h"
#endif

int main() {
#ifdef DRIFTLESS_CUDA
  const driftless::CudaReport report = driftless::inspect_cuda(true);
  std::cout << report.text();
  return report.problem.empty() ? 0 : 3;
#else
  std::cout << "CUDA: not built in (configure with -DDRIFTLESS_CUDA=ON where nvcc is)\n";
  return 3;
#endif
}
