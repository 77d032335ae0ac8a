#pragma once

#include <cstddef>
#include <mutex>
#include <optional>

#include "media/bounded_queue.h"
#include "media/session_types.h"

namespace driftless {

/// Where the compute thread leaves repainted scenes for the thread that shows them; the oldest goes
/// when nobody takes them.
class SceneInbox {
 public:
  static constexpr size_t kMaxChunks = 2;

  void push(GeneratedChunk chunk) {
    std::lock_guard<std::mutex> lock(mutex_);
    chunks_.push(std::move(chunk));
  }
  std::optional<GeneratedChunk> take() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (chunks_.empty()) return std::nullopt;
    return chunks_.pop();
  }

 private:
  std::mutex mutex_;
  BoundedQueue<GeneratedChunk> chunks_{kMaxChunks, DropPolicy::kDropOldest};
};

}  // namespace driftless
