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

const MemorySource& host_memory() {
  class HostMemory : public MemorySource {
   public:
    Memory kind() const override { return Memory::host; }
    void* allocate(size_t bytes) const override {
      return ::operator new(bytes, std::align_val_t(kAlignment));
    }
    void free(void* memory) const override {
      ::operator delete(memory, std::align_val_t(kAlignment));
    }
  };
  static const HostMemory memory;
  return memory;
}

struct Arena::Block {
  Block(size_t bytes, const MemorySource& source)
      : bytes(bytes), source(source), data(static_cast<uint8_t*>(source.allocate(bytes))) {}
  ~Block() { source.free(data); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  size_t bytes;
  const MemorySource& source;
  uint8_t* data;
};

Arena::Arena(size_t block_bytes, size_t limit_bytes, const MemorySource& source)
    : block_bytes_(block_bytes), limit_bytes_(limit_bytes), source_(&source) {}
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
  blocks_.push_back(std::make_unique<Block>(block, *source_));
  capacity_ += block;
  position_ = Mark{blocks_.size() - 1, size};
  return blocks_.back()->data;
}

Tensor Arena::tensor(Shape shape, DType dtype) {
  return Tensor(dtype, shape, allocate(static_cast<size_t>(shape.count()) * dtype_size(dtype)),
                source_->kind());
}

Tensor Arena::zeros(Shape shape, DType dtype) {
  DL_CHECK(source_->kind() != Memory::device, "arena memory to write to", "the host's", "a GPU's");
  const Tensor result = tensor(shape, dtype);
  std::memset(result.data(), 0, result.bytes());
  return result;
}

Tensor Arena::copy(const Tensor& source) {
  DL_CHECK(source_->kind() != Memory::device, "arena memory to write to", "the host's", "a GPU's");
  const Tensor result = tensor(source.shape(), source.dtype());
  std::memcpy(result.data(), source.data(), source.bytes());
  return result;
}

}  // namespace driftless
