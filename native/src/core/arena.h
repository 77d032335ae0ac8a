#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/tensor.h"

namespace driftless {

/// Where an arena's blocks come from.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  virtual Memory kind() const = 0;
  /// Memory aligned to 64 bytes; throws when there is none.
  virtual void* allocate(size_t bytes) const = 0;
  virtual void free(void* memory) const = 0;
  /// Bytes that are left, about; the most there can be where nobody knows.
  virtual size_t left() const { return SIZE_MAX; }
};
/// The process's own memory.
const MemorySource& host_memory();

/// Bump allocator for one model or one session. Memory is taken from the system in blocks, is
/// never moved, and is handed back only by the destructor; after `rewind` the same blocks are
/// used again, so a loop that rewinds each turn stops allocating after its first turn.
/// Every allocation is aligned to 64 bytes. Not thread-safe.
class Arena {
 public:
  /// `block_bytes`: size of each block (a larger request gets a block of its own).
  /// `limit_bytes`: allocate() throws Error above this total; 0 means no limit.
  /// `source` outlives the arena.
  explicit Arena(size_t block_bytes = size_t{1} << 20, size_t limit_bytes = 0,
                 const MemorySource& source = host_memory());
  ~Arena();
  Arena(Arena&&) noexcept;
  Arena& operator=(Arena&&) noexcept;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Uninitialised memory.
  void* allocate(size_t bytes);
  Tensor tensor(Shape shape, DType dtype = DType::f32);
  /// All bytes zero. Host or unified memory only, like copy(): both write to it from here.
  Tensor zeros(Shape shape, DType dtype = DType::f32);
  /// A copy of `source` in this arena.
  Tensor copy(const Tensor& source);

  /// A position to rewind to; everything allocated after it becomes invalid then.
  struct Mark {
    size_t block = 0;
    size_t offset = 0;
  };
  Mark mark() const { return position_; }
  void rewind(Mark mark) { position_ = mark; }
  void reset() { position_ = Mark(); }

  /// What allocate(bytes) takes of a block.
  static size_t rounded(size_t bytes);

  /// Bytes held from the system.
  size_t capacity() const { return capacity_; }

 private:
  struct Block;
  std::vector<std::unique_ptr<Block>> blocks_;
  Mark position_;
  size_t block_bytes_;
  size_t limit_bytes_;
  const MemorySource* source_;
  size_t capacity_ = 0;
};

/// Rewinds an arena to where it stood when the scope began.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.rewind(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  Arena::Mark mark_;
};

}  // namespace driftless
