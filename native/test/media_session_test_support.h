#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "media/media_engine.h"

namespace driftless {

/// An engine and one session whose frames and events can be waited for.
class SessionHarness {
 public:
  // The threads end before the members that the wake function uses.
  ~SessionHarness() { close(); }

 protected:
  void open(const SessionOptions& with) {
    session_ = engine_->create_session(with, [this] {
      std::lock_guard<std::mutex> lock(mutex_);
      ++wakes_;
      changed_.notify_all();
    });
  }

  void close() {
    session_.reset();
    engine_.reset();
  }

  void push(const EncodedPicture& picture) {
    session_->push_frame(picture.data.data(), picture.data.size(), picture.capture_time_ms);
  }

  /// Takes what waits until there are so many frames and events, at most 20 s.
  bool collect(size_t frames, size_t events = 0) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (frames_.size() < frames || events_.size() < events) {
      while (auto event = session_->take_event()) events_.push_back(std::move(*event));
      while (auto frame = session_->take_frame()) frames_.push_back(std::move(*frame));
      if (std::chrono::steady_clock::now() > end) return false;
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(5));
    }
    return true;
  }

  size_t count(SessionEvent::Type type) const {
    size_t found = 0;
    for (const SessionEvent& event : events_) found += event.type == type;
    return found;
  }

  std::unique_ptr<MediaEngine> engine_;
  std::shared_ptr<MediaSession> session_;
  std::vector<OutgoingFrame> frames_;
  std::vector<SessionEvent> events_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int wakes_ = 0;
};

}  // namespace driftless
