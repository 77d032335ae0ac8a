#pragma once

// What all operations of the backend stand on: one stream, its memory, and who may use a tensor.
// Part of cuda_ops.cc, like the other layers of the class.

#include <algorithm>

#include "ops/checks.h"
#include "ops/cuda/cuda_ops.h"
#include "ops/cuda/device_memory.h"
#include "ops/cuda/elementwise.cuh"

namespace driftless {

/// A pointer that kernels may use. Throws Error for memory that only the host can reach.
template <typename T = float>
T* on_device(const Tensor& tensor) {
  if (!tensor.present()) return nullptr;
  DL_CHECK(tensor.memory() != Memory::host, "tensor of a CUDA operation",
           "device or unified memory", "host memory");
  return static_cast<T*>(tensor.data());
}

class CudaBase : public Ops {
 public:
  explicit CudaBase(const CudaOptions& options)
      : precision_(options.precision),
        memory_(cuda_memory(options.device)),
        stream_(options.device) {}
  const char* name() const override { return "cuda"; }
  DType kv_dtype() const override {
    return precision_ == CudaPrecision::bf16 ? DType::bf16 : DType::f32;
  }
  DType dtype() const override {
    return precision_ == CudaPrecision::f32 ? DType::f32 : DType::bf16;
  }

  const MemorySource& memory() const override { return memory_; }
  Arena& arena() override { return device_arena_; }
  Arena& host_arena() override { return Ops::arena(); }

  void copy(const Tensor& from, const Tensor& to) override {
    checks::copy(from, to);
    if (from.bytes() == 0) return;
    const bool to_host = to.memory() == Memory::host;
    const cudaMemcpyKind kind = from.memory() == Memory::host ? cudaMemcpyHostToDevice
                                : to_host                     ? cudaMemcpyDeviceToHost
                                                              : cudaMemcpyDeviceToDevice;
    if (from.memory() == Memory::host && to_host) return Ops::copy(from, to);
    // From pageable memory the call returns when the bytes have been staged.
    cuda::check(cudaMemcpyAsync(to.data(), from.data(), from.bytes(), kind, stream_.get()), "copy");
    if (to_host) cuda::check(cudaStreamSynchronize(stream_.get()), "copy");
  }

  void convert(const Tensor& x, const Tensor& y) override {
    checks::convert(x, y, kv_dtype());
    if (y.dtype() == DType::f32) return copy(x, y);
    cuda::map("convert", on_device(x), on_device<cuda::bf16>(y), x.count(), x.count(),
              cuda::Convert{}, stream_.get());
  }

  void clear(const Tensor& x) override {
    if (x.memory() == Memory::host) return Ops::clear(x);
    cuda::check(cudaMemsetAsync(x.data(), 0, x.bytes(), stream_.get()), "clear");
  }

  void connect(const Ops& other) override {
    if (const auto* there = dynamic_cast<const CudaBase*>(&other)) {
      cuda::connect_devices(stream_.device(), there->stream_.device());
    }
  }

  void wait() override { cuda::check(cudaStreamSynchronize(stream_.get()), "wait"); }

 protected:
  /// The numbered pieces of working memory.
  enum Scratch : size_t { kOperand, kPositions, kTables, kSums, kBlocks, kMeans, kRings, kPlans };

  /// Copied before the call returns (pageable memory is staged), without waiting for the stream.
  const double* upload_doubles(const double* values, int64_t count) {
    auto* to = scratch_.take<double>(kPositions, count);
    cuda::check(cudaMemcpyAsync(to, values, static_cast<size_t>(count) * sizeof(double),
                                cudaMemcpyHostToDevice, stream_.get()),
                "upload of positions");
    return to;
  }

  CudaPrecision precision_;
  const MemorySource& memory_;
  cuda::Stream stream_;  // First, so that it outlives everything that is freed on it.
  cuda::StreamScratch scratch_{stream_.get()};
  Arena device_arena_{size_t{16} << 20, 0, memory_};
};

}  // namespace driftless
