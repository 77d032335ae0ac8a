#pragma once

// Blocks of emulated CUDA threads: a fiber each, on the caller's thread, switched where threads
// meet (barriers, shuffles, warp matrix operations). What a kernel may rely on is kept, what it may
// not rely on is varied: the order of threads and blocks, and the contents of memory nobody wrote.

#include <cstddef>
#include <cstdint>
#include <functional>

namespace driftless {
namespace emulation {

struct Index3 {
  unsigned x = 1, y = 1, z = 1;
};

/// Which of the threads that could go on goes on, and which block comes next. A kernel that lacks
/// a barrier gives different results for different orders.
enum class Order { ascending, descending, random };

struct Options {
  Order order = Order::ascending;
  uint64_t seed = 1;  ///< Of Order::random.
};
/// For all launches that follow.
void set_options(const Options& options);

struct Statistics {
  int64_t launches = 0;
  /// Times that two rows of one 8x8 matrix of an ldmatrix lay in the same shared-memory banks.
  int64_t bank_conflicts = 0;
};
/// Since the start of the program or the last reset.
Statistics& statistics();

/// Runs body() once for each thread. Throws Error for a launch that a device would refuse (limits
/// are the smallest of all architectures the engine is built for), for threads that wait for each
/// other for ever, and whatever body() throws.
void launch(Index3 grid, Index3 block, size_t shared_bytes, const std::function<void()>& body);

// ---- Called by emulated threads ---------------------------------------------------------------

struct Position {
  Index3 thread, block;
  Index3 block_size, grid_size;
  unsigned linear = 0;  ///< Thread number in its block.
};
const Position& position();

/// Shared memory of the running block; all bits set at the block's start.
void* shared_memory();
/// Throws Error unless [at, at + bytes) lies in the running block's shared memory.
void require_shared(const char* what, const void* at, size_t bytes);

/// Waits for all threads of the block that have not ended.
void sync_block();

/// Waits until every lane of `mask` has come to the same collective; then `act` runs once with each
/// lane's `argument` (null for lanes outside the mask). Throws Error when the caller is not in the
/// mask or a lane of it has ended or waits elsewhere.
using Collective = void (*)(void* const* arguments, unsigned mask);
void meet(const char* what, unsigned mask, void* argument, Collective act);

/// cp.async: the destination is undefined (all bits set) until the issuing thread waits for the
/// copy's group; `valid_bytes` of the source are used and the rest of `bytes` is zero.
void copy_async(void* shared, const void* global, size_t bytes, size_t valid_bytes);
void commit_copies();
/// Completes all but the newest `pending` committed groups of this thread.
void wait_copies(unsigned pending);

}  // namespace emulation
}  // namespace driftless
