#include "ops/cuda/device_memory.h"

#include <string>
#include <utility>

#include "core/error.h"

namespace driftless {
namespace cuda {

namespace {

void require(cudaError_t status, size_t bytes) {
  DL_CHECK(status == cudaSuccess, "GPU memory", "room for " + std::to_string(bytes) + " bytes",
           cudaGetErrorString(status));
}

}  // namespace

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
  if (memory.data != nullptr) cudaFreeAsync(memory.data, stream_);
  memory = {};
  require(cudaMallocAsync(&memory.data, bytes, stream_), bytes);
  memory.bytes = bytes;
  return memory.data;
}

}  // namespace cuda
}  // namespace driftless
