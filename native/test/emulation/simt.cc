#include "emulation/simt.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <exception>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "emulation/cuda_runtime.h"
#include "emulation/fiber.h"

namespace driftless {
namespace emulation {

namespace {

constexpr unsigned kWarp = 32;
/// The least that any of sm_80 to sm_120 allows for one block.
constexpr size_t kSharedLimit = 99 << 10;
constexpr unsigned char kPoison = 0xff;

enum class State { ready, at_barrier, in_collective, ended };

struct Copy {
  void* to;
  const void* from;
  size_t bytes, valid;
};

struct Thread {
  Fiber fiber;
  Position position;
  State state = State::ready;
  // While in a collective.
  const char* what = nullptr;
  unsigned mask = 0;
  void* argument = nullptr;
  Collective act = nullptr;
  // Asynchronous copies: not yet committed, and committed groups, oldest first.
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> groups;
};

Options current_options;
Statistics current_statistics;

class Block {
 public:
  void run(const Position& block, size_t shared_bytes, const std::function<void()>& body,
           std::mt19937_64& random);

  Thread& current() { return *current_; }
  void suspend(State state) {
    Thread& self = *current_;
    self.state = state;
    self.fiber.suspend();
  }
  unsigned char* shared() { return shared_.data(); }
  size_t shared_bytes() const { return shared_.size(); }

 private:
  static void entry(void* self);
  size_t pick(std::mt19937_64& random) const;
  void arrived(Thread& thread);
  void release_barrier();
  void release(Thread& thread) {
    thread.state = State::ready;
    ready_.push_back(thread.position.linear);
  }
  [[noreturn]] void stuck() const;

  std::vector<Thread> threads_;  // Grows to the largest block and is used again.
  unsigned count_ = 0, live_ = 0, waiting_ = 0;
  std::vector<unsigned> ready_;
  std::vector<unsigned char> shared_;
  Thread* current_ = nullptr;
  const std::function<void()>* body_ = nullptr;
  std::exception_ptr failure_;
};

Block& running() {
  static Block block;
  return block;
}

void Block::entry(void* self) {
  Block& block = *static_cast<Block*>(self);
  try {
    (*block.body_)();
  } catch (...) {
    block.failure_ = std::current_exception();
  }
  block.suspend(State::ended);
}

size_t Block::pick(std::mt19937_64& random) const {
  switch (current_options.order) {
    case Order::ascending:
      return static_cast<size_t>(std::min_element(ready_.begin(), ready_.end()) - ready_.begin());
    case Order::descending:
      return static_cast<size_t>(std::max_element(ready_.begin(), ready_.end()) - ready_.begin());
    case Order::random:
      return random() % ready_.size();
  }
  return 0;
}

void Block::run(const Position& block, size_t shared_bytes, const std::function<void()>& body,
                std::mt19937_64& random) {
  count_ = live_ = block.block_size.x * block.block_size.y * block.block_size.z;
  waiting_ = 0;
  if (threads_.size() < count_) threads_.resize(count_);
  shared_.assign(shared_bytes, kPoison);
  body_ = &body;
  failure_ = nullptr;
  ready_.clear();
  for (unsigned i = 0; i < count_; ++i) {
    Thread& thread = threads_[i];
    const Index3 size = block.block_size;
    thread.position = block;
    thread.position.thread = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    thread.position.linear = i;
    thread.open.clear();
    thread.groups.clear();
    thread.fiber.restart(&Block::entry, this);
    release(thread);
  }
  while (live_ > 0) {
    if (ready_.empty()) stuck();
    const size_t at = pick(random);
    current_ = &threads_[ready_[at]];
    ready_[at] = ready_.back();
    ready_.pop_back();
    current_->fiber.resume();
    if (failure_) std::rethrow_exception(failure_);
    arrived(*current_);
  }
}

void Block::arrived(Thread& thread) {
  if (thread.state == State::ended) {
    --live_;
    release_barrier();
  } else if (thread.state == State::at_barrier) {
    ++waiting_;
    release_barrier();
  } else {
    const unsigned first = thread.position.linear / kWarp * kWarp;
    void* arguments[kWarp] = {};
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      if ((thread.mask >> lane & 1) == 0) continue;
      const bool exists = first + lane < count_;
      if (!exists || threads_[first + lane].state == State::ended) {
        throw Error(std::string(thread.what) + " lane " + std::to_string(lane), "a running thread",
                    exists ? "one that has ended" : "none");
      }
      const Thread& other = threads_[first + lane];
      if (other.state != State::in_collective) return;
      if (other.what != thread.what || other.mask != thread.mask) {
        throw Error(std::string("lane ") + std::to_string(lane) + " of a warp",
                    std::string(thread.what) + " with the same mask", other.what);
      }
      arguments[lane] = other.argument;
    }
    thread.act(arguments, thread.mask);
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      if (thread.mask >> lane & 1) release(threads_[first + lane]);
    }
  }
}

void Block::release_barrier() {
  if (live_ == 0 || waiting_ < live_) return;
  waiting_ = 0;
  for (unsigned i = 0; i < count_; ++i) {
    if (threads_[i].state == State::at_barrier) release(threads_[i]);
  }
}

void Block::stuck() const {
  std::string first = "nothing";
  for (unsigned i = 0; i < count_; ++i) {
    if (threads_[i].state == State::in_collective) {
      first = "thread " + std::to_string(i) + " at " + threads_[i].what;
      break;
    }
  }
  throw Error("emulated block", "threads that meet",
              std::to_string(waiting_) + " of " + std::to_string(live_) +
                  " threads at a block barrier and " + first);
}

void check_launch(Index3 grid, Index3 block, size_t shared_bytes) {
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  DL_CHECK(threads >= 1 && threads <= 1024 && block.z <= 64, "threads of a block", "1..1024",
           threads);
  DL_CHECK(grid.x >= 1 && grid.x <= 0x7fffffffu, "grid.x", "1..2147483647", grid.x);
  DL_CHECK(grid.y >= 1 && grid.y <= 65535, "grid.y", "1..65535", grid.y);
  DL_CHECK(grid.z >= 1 && grid.z <= 65535, "grid.z", "1..65535", grid.z);
  DL_CHECK(shared_bytes <= kSharedLimit, "shared memory of a block",
           "at most " + std::to_string(kSharedLimit) + " bytes", shared_bytes);
}

}  // namespace

void set_options(const Options& options) { current_options = options; }
Statistics& statistics() { return current_statistics; }

void launch(Index3 grid, Index3 block, size_t shared_bytes, const std::function<void()>& body) {
  check_launch(grid, block, shared_bytes);
  const DeviceAccess access;
  ++current_statistics.launches;
  std::mt19937_64 random(current_options.seed);
  std::vector<uint64_t> order(uint64_t{grid.x} * grid.y * grid.z);
  std::iota(order.begin(), order.end(), 0);
  if (current_options.order == Order::descending) std::reverse(order.begin(), order.end());
  if (current_options.order == Order::random) std::shuffle(order.begin(), order.end(), random);
  for (uint64_t i : order) {
    Position at;
    at.block = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                static_cast<unsigned>(i / grid.x / grid.y)};
    at.block_size = block;
    at.grid_size = grid;
    running().run(at, shared_bytes, body, random);
  }
}

const Position& position() { return running().current().position; }

void* shared_memory() { return running().shared(); }

void require_shared(const char* what, const void* at, size_t bytes) {
  const auto* begin = static_cast<const unsigned char*>(at);
  const auto* shared = running().shared();
  DL_CHECK(begin >= shared && begin + bytes <= shared + running().shared_bytes(), what,
           "an address in the block's " + std::to_string(running().shared_bytes()) +
               " bytes of shared memory",
           "offset " + std::to_string(begin - shared));
}

void sync_block() { running().suspend(State::at_barrier); }

void meet(const char* what, unsigned mask, void* argument, Collective act) {
  Thread& self = running().current();
  DL_CHECK(mask >> (self.position.linear % kWarp) & 1, std::string(what) + " mask",
           "one with the calling lane", mask);
  self.what = what;
  self.mask = mask;
  self.argument = argument;
  self.act = act;
  running().suspend(State::in_collective);
}

void copy_async(void* shared, const void* global, size_t bytes, size_t valid_bytes) {
  require_shared("cp.async destination", shared, bytes);
  DL_CHECK(reinterpret_cast<uintptr_t>(shared) % bytes == 0, "cp.async destination",
           "aligned memory", shared);
  DL_CHECK(valid_bytes == 0 || reinterpret_cast<uintptr_t>(global) % bytes == 0, "cp.async source",
           "aligned memory", global);
  std::memset(shared, kPoison, bytes);
  running().current().open.push_back({shared, global, bytes, valid_bytes});
}

void commit_copies() {
  Thread& self = running().current();
  self.groups.push_back(std::move(self.open));
  self.open.clear();
}

void wait_copies(unsigned pending) {
  Thread& self = running().current();
  while (self.groups.size() > pending) {
    for (const Copy& copy : self.groups.front()) {
      std::memcpy(copy.to, copy.from, copy.valid);
      std::memset(static_cast<unsigned char*>(copy.to) + copy.valid, 0, copy.bytes - copy.valid);
    }
    self.groups.pop_front();
  }
}

}  // namespace emulation
}  // namespace driftless
