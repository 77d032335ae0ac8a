#include "ops/cuda/device_memory.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "core/error.h"
#include "ops/cuda/cuda_ops.h"
#include "ops/cuda/platform.cuh"
#include "ops/cuda/replay.h"

namespace driftless {
namespace cuda {

namespace {

void require(cudaError_t status, size_t bytes) {
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // The next launch must not be taken for the one that failed.
    throw OutOfMemory("GPU memory", "room for " + std::to_string(bytes) + " bytes",
                      cudaGetErrorString(status));
  }
  check(status, "GPU memory");
}

}  // namespace

// A note in the thread's own memory: asking for the device that it has already costs nothing.
void use_device(int device) { check(cudaSetDevice(device), "CUDA device"); }

void connect_devices(int from, int to) {
  if (from == to) return;
  int reaches = 0;
  check(cudaDeviceCanAccessPeer(&reaches, from, to), "CUDA devices");
  if (reaches == 0) return;
  use_device(from);
  const cudaError_t status = cudaDeviceEnablePeerAccess(to, 0);
  if (status == cudaErrorPeerAccessAlreadyEnabled) {
    cudaGetLastError();  // The next launch must not be taken for one that failed.
  } else {
    check(status, "CUDA devices");
  }
}

Stream::Stream(int device) : device_(device) {
  use_device(device);
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "CUDA stream");
}
Stream::~Stream() {
  cudaStreamSynchronize(stream_);
  cudaStreamDestroy(stream_);
}

DeviceBuffer::DeviceBuffer(size_t bytes) : bytes_(bytes) {
  require(cudaMalloc(&data_, bytes), bytes);
}
DeviceBuffer::~DeviceBuffer() { cudaFree(data_); }
DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

StreamScratch::~StreamScratch() {
  for (const Piece& piece : pieces_) {
    if (piece.data != nullptr) cudaFreeAsync(piece.data, stream_);
  }
}

void* StreamScratch::take(size_t piece, size_t bytes) {
  if (pieces_.size() <= piece) pieces_.resize(piece + 1);
  Piece& memory = pieces_[piece];
  if (memory.bytes >= bytes) return memory.data;
  settle_replay(stream_);  // What waits there uses the old one.
  if (memory.data != nullptr) cudaFreeAsync(memory.data, stream_);
  memory = {};
  require(cudaMallocAsync(&memory.data, bytes, stream_), bytes);
  memory.bytes = bytes;
  return memory.data;
}

}  // namespace cuda

namespace {

class CudaMemory : public MemorySource {
 public:
  CudaMemory(Memory kind, int device) : kind_(kind), device_(device) {}
  Memory kind() const override { return kind_; }
  void* allocate(size_t bytes) const override {
    void* memory = nullptr;
    cuda::use_device(device_);
    cuda::require(kind_ == Memory::device ? cudaMalloc(&memory, bytes)
                                          : cudaMallocManaged(&memory, bytes, cudaMemAttachGlobal),
                  bytes);
    return memory;
  }
  void free(void* memory) const override { cudaFree(memory); }
  size_t left() const override {
    size_t left = 0, all = 0;
    cuda::use_device(device_);
    cuda::check(cudaMemGetInfo(&left, &all), "GPU memory");
    return left;
  }

 private:
  Memory kind_;
  int device_;
};

}  // namespace

const MemorySource& cuda_memory(int device) {
  static std::mutex mutex;
  static std::map<int, CudaMemory> by_device;
  const std::lock_guard<std::mutex> lock(mutex);
  return by_device.try_emplace(device, Memory::device, device).first->second;
}

const MemorySource& cuda_unified_memory() {
  static const CudaMemory memory(Memory::unified, 0);
  return memory;
}

}  // namespace driftless
