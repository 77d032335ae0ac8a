#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "media/compute_loop.h"

namespace driftless {

/// Collects what the compute thread says about one track.
class Collector : public ComputeLoop::Listener {
 public:
  void on_generated(GeneratedChunk chunk) override {
    std::lock_guard<std::mutex> lock(mutex_);
    chunks_.push_back(std::move(chunk));
    changed_.notify_all();
  }
  void on_compute_event(SessionEvent event) override {
    std::lock_guard<std::mutex> lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
  }
  void on_level(const LevelChange& change) override {
    std::lock_guard<std::mutex> lock(mutex_);
    levels_.push_back(change);
    changed_.notify_all();
  }
  bool wait(size_t chunks, size_t events = 0) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20),
                             [&] { return chunks_.size() >= chunks && events_.size() >= events; });
  }
  std::vector<GeneratedChunk> chunks() {
    std::lock_guard<std::mutex> lock(mutex_);
    return chunks_;
  }
  std::vector<LevelChange> levels() {
    std::lock_guard<std::mutex> lock(mutex_);
    return levels_;
  }
  std::vector<SessionEvent> events() {
    std::lock_guard<std::mutex> lock(mutex_);
    return events_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<GeneratedChunk> chunks_;
  std::vector<SessionEvent> events_;
  std::vector<LevelChange> levels_;
};

}  // namespace driftless
