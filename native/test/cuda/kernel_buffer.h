#pragma once

// Memory for the kernel checks that both sides can reach, with a strip on either side of which
// every bit is set: a read there gives NaN, a write is noticed.

#include <algorithm>
#include <cstring>
#include <string>

#include "core/error.h"
#include "core/tensor.h"
#include "ops/cuda/elementwise.cuh"

namespace driftless {

template <typename T>
class KernelBuffer {
 public:
  /// Room for `count` elements that start `offset` elements after an address aligned to 256.
  explicit KernelBuffer(int64_t count, int64_t offset = 0) : count_(count) {
    start_ = kStrip + static_cast<size_t>(offset) * sizeof(T);
    bytes_ = start_ + static_cast<size_t>(count) * sizeof(T) + kStrip;
    void* memory = nullptr;
    cuda::check(cudaMallocManaged(&memory, bytes_, cudaMemAttachGlobal), "kernel check memory");
    memory_ = static_cast<unsigned char*>(memory);
    std::memset(memory_, 0xff, bytes_);
  }
  /// The values of an f32 tensor, rounded to T.
  explicit KernelBuffer(const Tensor& values, int64_t offset = 0)
      : KernelBuffer(values.count(), offset) {
    for (int64_t i = 0; i < count_; ++i) data()[i] = cuda::from_float<T>(values.f32()[i]);
  }
  ~KernelBuffer() { cudaFree(memory_); }
  KernelBuffer(const KernelBuffer&) = delete;
  KernelBuffer& operator=(const KernelBuffer&) = delete;

  T* data() const { return reinterpret_cast<T*>(memory_ + start_); }
  int64_t count() const { return count_; }
  float value(int64_t i) const { return cuda::to_float(data()[i]); }

  /// Writes the (rounded) values into an f32 tensor.
  void read(const Tensor& to) const {
    for (int64_t i = 0; i < count_; ++i) to.f32()[i] = value(i);
  }

  /// Throws Error when a byte outside of the elements was written.
  void require_intact() const {
    const size_t end = start_ + static_cast<size_t>(count_) * sizeof(T);
    for (size_t i = 0; i < bytes_; ++i) {
      if (i >= start_ && i < end) continue;
      DL_CHECK(memory_[i] == 0xff, "memory around a kernel's output", "untouched",
               "a write at byte " +
                   std::to_string(static_cast<int64_t>(i) - static_cast<int64_t>(start_)) + " of " +
                   std::to_string(end - start_));
    }
  }

  /// FNV-1a of the elements' bits.
  uint64_t hash() const {
    uint64_t hash = 1469598103934665603ull;
    const unsigned char* bytes = memory_ + start_;
    for (size_t i = 0; i < static_cast<size_t>(count_) * sizeof(T); ++i) {
      hash = (hash ^ bytes[i]) * 1099511628211ull;
    }
    return hash;
  }

 private:
  static constexpr size_t kStrip = 512;
  int64_t count_;
  size_t start_, bytes_;
  unsigned char* memory_ = nullptr;
};

}  // namespace driftless
