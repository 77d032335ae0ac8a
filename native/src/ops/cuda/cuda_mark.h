#pragma once

#include "ops/cuda/device_memory.h"
#include "ops/cuda/platform.cuh"
#include "ops/cuda/replay.h"
#include "ops/mark.h"

namespace driftless {

/// An event of a stream. Who waits for it sleeps: a forward takes milliseconds, and the processor's
/// cores have decoders and encoders to run.
class CudaMark : public Mark {
 public:
  explicit CudaMark(const cuda::Stream& stream) : stream_(stream) {
    stream_.get();  // An event belongs to a device, like its stream.
    cuda::check(cudaEventCreateWithFlags(&event_, cudaEventBlockingSync), "CUDA event");
  }
  ~CudaMark() override { cudaEventDestroy(event_); }

  void set() override {
    const cudaStream_t stream = stream_.get();
    cuda::settle_replay(stream);
    cuda::check(cudaEventRecord(event_, stream), "CUDA event");
  }
  void wait() override { cuda::check(cudaEventSynchronize(event_), "CUDA event"); }
  double ms_since(const Mark& earlier) const override {
    float ms = 0;
    const auto& from = static_cast<const CudaMark&>(earlier);
    cuda::check(cudaEventElapsedTime(&ms, from.event_, event_), "CUDA event");
    return ms;
  }
  /// Has a stream of any device wait for it.
  void hold(cudaStream_t stream) const {
    cuda::check(cudaStreamWaitEvent(stream, event_, 0), "CUDA event");
  }

 private:
  const cuda::Stream& stream_;
  cudaEvent_t event_ = nullptr;
};

}  // namespace driftless
