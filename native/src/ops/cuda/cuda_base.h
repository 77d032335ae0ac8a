#pragma once

// What all operations of the backend stand on: one stream, its memory, and who may use a tensor.
// Part of cuda_ops.cc, like the other layers of the class.

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "ops/checks.h"
#include "ops/cuda/cuda_mark.h"
#include "ops/cuda/cuda_ops.h"
#include "ops/cuda/device_memory.h"
#include "ops/cuda/elementwise.cuh"
#include "ops/cuda/host_staging.h"
#include "ops/cuda/nccl_links.h"
#include "ops/cuda/replay.h"

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
      : precision_(options.precision == CudaPrecision::fp8_kv ? CudaPrecision::fp8
                                                              : options.precision),
        narrow_rings_(options.precision == CudaPrecision::fp8_kv),
        memory_(cuda_memory(options.device)),
        stream_(options.device),
        graphs_(options.graphs) {
    if (options.nccl != nullptr) nccl_ = *options.nccl;
  }
  const char* name() const override { return "cuda"; }
  DType token_dtype() const override {
    if (precision_ == CudaPrecision::f32) return DType::f32;
    return precision_ == CudaPrecision::f16 ? DType::f16 : DType::bf16;
  }
  DType ring_dtype() const override { return narrow_rings_ ? DType::e4m3 : token_dtype(); }
  DType dtype() const override { return token_dtype(); }

  const char* precision() const override {
    if (narrow_rings_) return "fp8-kv";
    return precision_ == CudaPrecision::fp8 ? "fp8" : dtype_name(dtype());
  }

  const MemorySource& memory() const override { return memory_; }
  Arena& arena() override { return device_arena_; }
  Arena& host_arena() override { return Ops::arena(); }

  void copy(const Tensor& from, const Tensor& to) override {
    checks::copy(from, to);
    const size_t bytes = from.bytes();
    if (bytes == 0) return;
    const bool from_host = from.memory() == Memory::host, to_host = to.memory() == Memory::host;
    if (from_host && to_host) return Ops::copy(from, to);
    const cudaStream_t stream = stream_.get();
    if (!from_host && !to_host) {
      const auto start = [from = from.data(), to = to.data(), bytes](cudaStream_t on) {
        cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, on), "copy");
      };
      return cuda::put_on_stream(stream, start, kCopyStep, from.data(), to.data(), bytes);
    }
    cuda::settle_replay(stream);
    if (to_host) return staging_.to_host(from.data(), to.data(), bytes);
    staging_.to_device(from.data(), to.data(), bytes);
  }

  void convert(const Tensor& x, const Tensor& y) override {
    checks::convert(x, y, token_dtype());
    if (x.dtype() == y.dtype()) return copy(x, y);
    const auto convert = [&](const auto* from, auto* to) {
      cuda::map("convert", from, to, x.count(), x.count(), cuda::Convert{}, stream_.get());
    };
    with_token_type([&](auto zero) {
      using T = decltype(zero);
      if (x.dtype() == DType::f32) return convert(on_device(x), on_device<T>(y));
      convert(on_device<T>(x), on_device(y));
    });
  }

  void clear(const Tensor& x) override {
    if (x.memory() == Memory::host) return Ops::clear(x);
    const auto start = [at = x.data(), bytes = x.bytes()](cudaStream_t on) {
      cuda::check(cudaMemsetAsync(at, 0, bytes, on), "clear");
    };
    cuda::put_on_stream(stream_.get(), start, kClearStep, x.data(), x.bytes());
  }

  std::unique_ptr<Mark> make_mark() const override { return std::make_unique<CudaMark>(stream_); }

  void follow(Mark& mark) override {
    const auto* there = dynamic_cast<const CudaMark*>(&mark);
    if (there == nullptr) return mark.wait();
    const cudaStream_t stream = stream_.get();
    cuda::settle_replay(stream);
    there->hold(stream);
  }

  std::unique_ptr<Links> make_links(const std::vector<Ops*>& pipeline) const override {
    if (!nccl_ || pipeline.size() < 2) return Ops::make_links(pipeline);
    std::vector<int> devices;
    for (const Ops* ops : pipeline) {
      const auto* there = dynamic_cast<const CudaBase*>(ops);
      DL_CHECK(there != nullptr, "ranks over NCCL", "GPUs alone", ops->name());
      devices.push_back(there->stream_.device());
    }
    return std::make_unique<cuda::NcclLinks>(*nccl_, pipeline, devices);
  }

  void connect(const Ops& other) override {
    if (const auto* there = dynamic_cast<const CudaBase*>(&other)) {
      cuda::connect_devices(stream_.device(), there->stream_.device());
    }
  }

  void wait() override {
    const cudaStream_t stream = stream_.get();
    cuda::settle_replay(stream);
    cuda::check(cudaStreamSynchronize(stream), "wait");
  }

  void repeated(const RepeatKey& key, TaskRef work) override {
    if (!graphs_ || trying_) return work(0);
    replay_.run(key, work);
  }
  int64_t replays() const override { return replay_.counts().graphs; }
  const cuda::ReplayCounts& replay_counts() const { return replay_.counts(); }

 protected:
  /// Calls with a zero of the type that token_dtype() names, where that is none of f32.
  template <typename Call>
  auto with_token_type(const Call& call) const -> decltype(call(cuda::bf16{})) {
    return precision_ == CudaPrecision::f16 ? call(cuda::f16{}) : call(cuda::bf16{});
  }
  /// Calls with a tensor's address as a pointer to its type, f32 or token_dtype().
  template <typename Call>
  auto by_type(const Tensor& tensor, const Call& call) const
      -> decltype(call(static_cast<float*>(nullptr))) {
    if (tensor.dtype() == DType::f32) return call(on_device(tensor));
    return with_token_type([&](auto zero) { return call(on_device<decltype(zero)>(tensor)); });
  }
  /// The address of a tensor that has the type of another.
  template <typename T>
  static T* like(T*, const Tensor& tensor) {
    return on_device<T>(tensor);
  }

  /// The numbered pieces of working memory.
  enum Scratch : size_t {
    kOperand,
    kGatedBias,
    kPositions,
    kTables,
    kSums,
    kBlocks,
    kAttention,
    kMeans,
    kChosen,
    kRings,
    kPlans,
    kByteTables,
    kAcross,
    kDown,
    kLibraryWorkspace
  };
  /// What tells copies, memsets and calls of libraries from other steps.
  enum StepKind : uint64_t { kCopyStep, kClearStep, kAttentionStep, kConvolutionStep };

  /// `count` values where kernels can read them, until the next upload to the same piece; copied
  /// before the call returns, without waiting for the stream.
  template <typename T>
  const T* upload(Scratch piece, const T* values, int64_t count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    const cudaStream_t stream = stream_.get();
    if (cuda::Replay* replay = cuda::Replay::of(stream)) {
      if (const void* there = replay->upload(values, bytes)) return static_cast<const T*>(there);
    }
    T* to = scratch_.take<T>(piece, count);
    cuda::check(cudaMemcpyAsync(to, values, bytes, cudaMemcpyHostToDevice, stream), "upload");
    return to;
  }

  /// `bytes` of device memory, there when it returns.
  void fetch(const void* from, void* to, size_t bytes) {
    const cudaStream_t stream = stream_.get();
    cuda::settle_replay(stream);
    cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "fetch");
    cuda::check(cudaStreamSynchronize(stream), "fetch");
  }

  CudaPrecision precision_;  // Not fp8_kv, which is fp8 with narrow rings.
  bool narrow_rings_;
  const MemorySource& memory_;
  cuda::Stream stream_;  // First, so that it outlives everything that is freed on it.
  cuda::StreamScratch scratch_{stream_.get()};
  cuda::HostStaging staging_{stream_};
  cuda::Replay replay_{stream_};
  bool graphs_;
  std::optional<cuda::nccl::Api> nccl_;
  bool trying_ = false;  // Within try_libraries().
  Arena device_arena_{size_t{16} << 20, 0, memory_};
};

}  // namespace driftless
