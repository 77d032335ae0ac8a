#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/task_ref.h"

namespace driftless {

/// Threads that help the caller with a list of tasks. Nobody waits for a helper that has not begun:
/// on a busy machine, where a helper may get its processor late or not at all, the caller does the
/// tasks itself. Helpers that find nothing to do sleep after a moment.
class WorkerPool {
 public:
  /// threads >= 1, the caller included.
  explicit WorkerPool(int threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }

  /// Calls task(index) once for each index in 0..count-1 (at most 65535), on any thread. Returns
  /// when all are done and rethrows the first exception of a task. No allocation. Not from inside a
  /// task.
  void run(int64_t count, TaskRef task);

  /// 0..threads()-1: which worker the calling thread is. Tasks that run at once differ in it.
  int current_worker() const;
  /// Whether the calling thread is in a task of this pool that other tasks may run beside.
  bool inside_task() const;

 private:
  void work(int worker);
  void help(int worker);

  std::vector<std::thread> helpers_;
  const TaskRef* task_ = nullptr;
  // Number of the job (upper half), next task and count of tasks: one word, so that a helper which
  // comes late can never take a task of a job it does not know.
  std::atomic<uint64_t> state_{0};
  std::atomic<int64_t> finished_{0};
  std::atomic<int> sleeping_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;  // of the sleepers and of error_
  std::condition_variable wake_;
  std::exception_ptr error_;
};

}  // namespace driftless
