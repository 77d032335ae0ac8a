#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#else
#include "emulation/cuda_runtime.h"
#endif

namespace driftless {
namespace cuda {

/// Makes a device the one that this thread's calls mean. Throws Error when there is none.
void use_device(int device);
/// Lets one device reach another's memory, so that copies between them need not go through the
/// host's. Where the machine has no such way, nothing changes.
void connect_devices(int from, int to);

/// A stream of one device, which is awaited before it goes.
class Stream {
 public:
  /// Throws Error when there is no such device.
  explicit Stream(int device);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  /// For the next call, which means the stream's device whatever thread it comes from.
  cudaStream_t get() const {
    use_device(device_);
    return stream_;
  }
  int device() const { return device_; }

 private:
  int device_;
  cudaStream_t stream_ = nullptr;
};

/// Device memory that is filled once and lives long, such as weights.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  /// Throws Error, with the size, when the device has not that much left.
  explicit DeviceBuffer(size_t bytes);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Numbered pieces of working memory of one stream. A piece grows to the largest request and is
/// then used again; growing is ordered on the stream, so nobody waits.
class StreamScratch {
 public:
  explicit StreamScratch(cudaStream_t stream) : stream_(stream) {}
  ~StreamScratch();
  StreamScratch(const StreamScratch&) = delete;
  StreamScratch& operator=(const StreamScratch&) = delete;

  /// At least `bytes` of memory, valid until the next request for the same piece that is larger.
  void* take(size_t piece, size_t bytes);
  template <typename T>
  T* take(size_t piece, int64_t count) {
    return static_cast<T*>(take(piece, static_cast<size_t>(count) * sizeof(T)));
  }

 private:
  struct Piece {
    void* data = nullptr;
    size_t bytes = 0;
  };
  cudaStream_t stream_;
  std::vector<Piece> pieces_;
};

}  // namespace cuda
}  // namespace driftless
