// What a machine has of CUDA. Compiled by nvcc, which knows whether this build has code for a
// device's architecture.

#include <sstream>

#include "ops/cuda/cuda_ops.h"
#include "ops/cuda/platform.cuh"

namespace driftless {

namespace {

template <typename T>
__global__ void probe_kernel(T* at) {
  *at = T();
}

CudaDevice inspect_device(int index) {
  CudaDevice device;
  cudaDeviceProp properties = {};
  const cudaError_t status = cudaGetDeviceProperties(&properties, index);
  if (status != cudaSuccess) {
    device.problem = cudaGetErrorString(status);
    return device;
  }
  device.name = properties.name;
  device.major = properties.major;
  device.minor = properties.minor;
  device.memory_bytes = properties.totalGlobalMem;
  if (device.major < 8) {
    device.problem = "the kernels need compute capability 8.0 or newer";
    return device;
  }
  cudaFuncAttributes attributes = {};
  const cudaError_t image = cudaSetDevice(index) == cudaSuccess
                                ? cudaFuncGetAttributes(&attributes, probe_kernel<float>)
                                : cudaGetLastError();
  if (image != cudaSuccess) {
    device.problem = std::string(cudaGetErrorString(image)) +
                     ": build with its architecture in DRIFTLESS_CUDA_ARCHITECTURES";
    cudaGetLastError();  // A failed question is no error of the next launch.
  }
  return device;
}

std::string version(int number) {
  return number == 0 ? "none"
                     : std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

}  // namespace

CudaReport inspect_cuda(bool nccl) {
  CudaReport report;
  cudaRuntimeGetVersion(&report.runtime_version);
  cudaDriverGetVersion(&report.driver_version);
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (report.driver_version == 0) {
    report.problem = "no NVIDIA driver is installed";
  } else if (status == cudaErrorInsufficientDriver) {
    report.problem = "the driver is for CUDA " + version(report.driver_version) +
                     ", this build needs one for " + version(report.runtime_version);
  } else if (status != cudaSuccess) {
    report.problem = cudaGetErrorString(status);
  } else if (count == 0) {
    report.problem = "the driver finds no device";
  }
  for (int i = 0; i < count && report.problem.empty(); ++i) {
    report.devices.push_back(inspect_device(i));
  }
  bool usable = false;
  for (const CudaDevice& device : report.devices) usable = usable || device.problem.empty();
  if (report.problem.empty() && !usable) {
    report.problem = report.devices.front().name + ": " + report.devices.front().problem;
  }
  try {
    report.cublaslt_version = cuda::lt::load_api().cublasLtGetVersion();
  } catch (const Error& error) {
    report.cublaslt_problem = error.what();
  }
  try {
    report.cudnn_version = cuda::dnn::load_api().cudnnGetVersion();
  } catch (const Error& error) {
    report.cudnn_problem = error.what();
  }
  if (!nccl) return report;
  try {
    cuda::nccl::load_api().ncclGetVersion(&report.nccl_version);
  } catch (const Error& error) {
    report.nccl_problem = error.what();
  }
  return report;
}

std::string CudaReport::text() const {
  std::ostringstream out;
  out << "CUDA: " << (problem.empty() ? "usable" : "not usable: " + problem) << "\n";
  out << "runtime: " << version(runtime_version) << " (built in), driver: for "
      << version(driver_version) << "\n";
  for (size_t i = 0; i < devices.size(); ++i) {
    const CudaDevice& device = devices[i];
    out << "device " << i << ": " << device.name << ", compute capability " << device.major << "."
        << device.minor << ", " << (device.memory_bytes >> 20) << " MiB, "
        << (device.problem.empty() ? "usable" : "not usable: " + device.problem) << "\n";
  }
  if (cublaslt_version != 0) {
    out << "cuBLASLt: version " << cublaslt_version << "\n";
  } else {
    out << "cuBLASLt: missing, products run on our own kernel (" << cublaslt_problem << ")\n";
  }
  if (cudnn_version != 0) {
    out << "cuDNN: version " << cudnn_version << ", for attention where it is faster\n";
  } else {
    out << "cuDNN: missing, attention and convolutions run on our own kernels (" << cudnn_problem
        << ")\n";
  }
  if (nccl_version != 0) {
    out << "NCCL: version " << nccl_version << ", for DRIFTLESS_CUDA_TRANSPORT=nccl\n";
  } else if (!nccl_problem.empty()) {
    out << "NCCL: missing, which only DRIFTLESS_CUDA_TRANSPORT=nccl needs (" << nccl_problem
        << ")\n";
  }
  return out.str();
}

}  // namespace driftless
