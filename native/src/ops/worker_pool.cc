#include "ops/worker_pool.h"

#include <utility>

#include "core/error.h"

namespace driftless {

namespace {

// About 20 microseconds: longer than the gap between two operations, shorter than anybody minds.
constexpr int kSpins = 1000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// The task that this thread is in.
struct Place {
  const WorkerPool* pool = nullptr;
  int worker = 0;
};
thread_local Place current;

uint64_t job_number(uint64_t state) { return state >> 32; }

}  // namespace

WorkerPool::WorkerPool(int threads) {
  for (int worker = 1; worker < threads; ++worker) {
    helpers_.emplace_back([this, worker] { help(worker); });
  }
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

int WorkerPool::current_worker() const { return current.pool == this ? current.worker : 0; }
bool WorkerPool::inside_task() const { return current.pool == this; }

void WorkerPool::run(int64_t count, TaskRef task) {
  if (helpers_.empty() || count < 2) {
    for (int64_t index = 0; index < count; ++index) task(index);
    return;
  }
  DL_CHECK(count <= 0xFFFF, "tasks of one call", "at most 65535", count);
  DL_CHECK(!inside_task(), "tasks", "a call from outside of them", "one from inside");
  task_ = &task;
  finished_.store(0, std::memory_order_relaxed);
  state_ = (job_number(state_) + 1) << 32 | static_cast<uint64_t>(count);
  if (sleeping_ > 0) {
    // Taken and let go, so that a helper is either asleep already or has yet to look.
    { const std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }
  work(0);
  for (int spin = 0; finished_.load(std::memory_order_acquire) < count; ++spin) {
    if (spin < kSpins) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void WorkerPool::work(int worker) {
  uint64_t state = state_.load(std::memory_order_acquire);
  for (;;) {
    const auto next = static_cast<int64_t>(state >> 16 & 0xFFFF);
    if (next >= static_cast<int64_t>(state & 0xFFFF)) return;
    if (!state_.compare_exchange_weak(state, state + 0x10000, std::memory_order_acq_rel)) continue;
    const Place outer = std::exchange(current, Place{this, worker});
    try {
      (*task_)(next);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
    current = outer;
    finished_.fetch_add(1, std::memory_order_release);
    state = state_.load(std::memory_order_acquire);
  }
}

void WorkerPool::help(int worker) {
  uint64_t seen = 0;
  while (!stop_) {
    int spin = 0;
    while (job_number(state_) == seen && spin < kSpins) {
      pause();
      ++spin;
    }
    if (job_number(state_) == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      ++sleeping_;
      wake_.wait(lock, [&] { return stop_ || job_number(state_) != seen; });
      --sleeping_;
      continue;
    }
    seen = job_number(state_);
    work(worker);
  }
}

}  // namespace driftless
