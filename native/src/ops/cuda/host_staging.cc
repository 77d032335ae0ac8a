#include "ops/cuda/host_staging.h"

#include <algorithm>
#include <cstring>

#include "ops/cuda/platform.cuh"

namespace driftless {
namespace cuda {

namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;
/// What is smaller the driver takes along with the command.
constexpr size_t kLeastBytes = size_t{64} << 10;

void copy(const void* from, void* to, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  check(cudaMemcpyAsync(to, from, bytes, kind, stream), "copy");
}

}  // namespace

HostStaging::~HostStaging() {
  for (Piece& piece : pieces_) {
    if (piece.copied != nullptr) {
      cudaEventSynchronize(piece.copied);
      cudaEventDestroy(piece.copied);
    }
    if (piece.memory != nullptr) cudaFreeHost(piece.memory);
  }
}

/// False where copies have to go the driver's way.
bool HostStaging::prepare() {
  if (pieces_.back().copied != nullptr || refused_) return !refused_;
  for (Piece& piece : pieces_) {
    refused_ = refused_ || cudaMallocHost(&piece.memory, kPieceBytes) != cudaSuccess ||
               cudaEventCreateWithFlags(&piece.copied, cudaEventDisableTiming) != cudaSuccess;
  }
  if (refused_) static_cast<void>(cudaGetLastError());  // The next launch has not failed.
  return !refused_;
}

/// Waits for the piece's copy, and brings it to where it is wanted.
void HostStaging::finish(Piece& piece) {
  check(cudaEventSynchronize(piece.copied), "copy");
  if (piece.to != nullptr) std::memcpy(piece.to, piece.memory, piece.bytes);
  piece.to = nullptr;
}

HostStaging::Piece& HostStaging::next() {
  Piece& piece = pieces_[turn_++ % pieces_.size()];
  finish(piece);
  return piece;
}

void HostStaging::to_device(const void* from, void* to, size_t bytes) {
  const cudaStream_t stream = stream_.get();
  if (bytes < kLeastBytes || !prepare()) {
    return copy(from, to, bytes, cudaMemcpyHostToDevice, stream);
  }
  for (size_t at = 0; at < bytes; at += kPieceBytes) {
    Piece& piece = next();
    piece.bytes = std::min(kPieceBytes, bytes - at);
    std::memcpy(piece.memory, static_cast<const unsigned char*>(from) + at, piece.bytes);
    copy(piece.memory, static_cast<unsigned char*>(to) + at, piece.bytes, cudaMemcpyHostToDevice,
         stream);
    check(cudaEventRecord(piece.copied, stream), "copy");
  }
}

void HostStaging::to_host(const void* from, void* to, size_t bytes) {
  const cudaStream_t stream = stream_.get();
  if (bytes < kLeastBytes || !prepare()) {
    copy(from, to, bytes, cudaMemcpyDeviceToHost, stream);
    return check(cudaStreamSynchronize(stream), "copy");
  }
  for (size_t at = 0; at < bytes; at += kPieceBytes) {
    Piece& piece = next();
    piece.bytes = std::min(kPieceBytes, bytes - at);
    copy(static_cast<const unsigned char*>(from) + at, piece.memory, piece.bytes,
         cudaMemcpyDeviceToHost, stream);
    check(cudaEventRecord(piece.copied, stream), "copy");
    piece.to = static_cast<unsigned char*>(to) + at;
  }
  for (size_t i = 0; i < pieces_.size(); ++i) next();  // In the order of their copies.
}

}  // namespace cuda
}  // namespace driftless
