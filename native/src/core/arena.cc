#include "core/arena.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#include "core/error.h"

namespace driftless {

namespace {
constexpr size_t kAlignment = 64;
}

struct Arena::Block {
  explicit Block(size_t bytes)
      : bytes(bytes),
        data(static_cast<uint8_t*>(::operator new(bytes, std::align_val_t(kAlignment)))) {}
  ~Block() { ::operator delete(data, std::align_val_t(kAlignment)); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  size_t bytes;
  uint8_t* data;
};

Arena::Arena(size_t block_bytes, size_t limit_bytes)
    : block_bytes_(block_bytes), limit_bytes_(limit_bytes) {}
Arena::~Arena() = default;
Arena::Arena(Arena&&) noexcept = default;
Arena& Arena::operator=(Arena&&) noexcept = default;

size_t Arena::rounded(size_t bytes) {
  return std::max(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
}

void* Arena::allocate(size_t bytes) {
  const size_t size = rounded(bytes);
  // Blocks too small for this request are passed over; rewind makes them usable again.
  while (position_.block < blocks_.size()) {
    Block& block = *blocks_[position_.block];
    if (position_.offset + size <= block.bytes) {
      void* memory = block.data + position_.offset;
      position_.offset += size;
      return memory;
    }
    position_ = Mark{position_.block + 1, 0};
  }
  const size_t block = std::max(size, block_bytes_);
  DL_CHECK(limit_bytes_ == 0 || capacity_ + block <= limit_bytes_, "arena size",
           "at most " + std::to_string(limit_bytes_) + " bytes", capacity_ + block);
  blocks_.push_back(std::make_unique<Block>(block));
  capacity_ += block;
  position_ = Mark{blocks_.size() - 1, size};
  return blocks_.back()->data;
}

Tensor Arena::tensor(Shape shape, DType dtype) {
  return Tensor(dtype, shape, allocate(static_cast<size_t>(shape.count()) * dtype_size(dtype)));
}

Tensor Arena::zeros(Shape shape, DType dtype) {
  const Tensor result = tensor(shape, dtype);
  std::memset(result.data(), 0, result.bytes());
  return result;
}

Tensor Arena::copy(const Tensor& source) {
  const Tensor result = tensor(source.shape(), source.dtype());
  std::memcpy(result.data(), source.data(), source.bytes());
  return result;
}

}  // namespace driftless
