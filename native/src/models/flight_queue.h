#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace driftless {

// Between two threads. nullptr: nothing will follow.
template <typename Flight>
class FlightQueue {
 public:
  void push(Flight* flight) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      flights_.push_back(flight);
    }
    pushed_.notify_all();
    const std::lock_guard<std::mutex> lock(listener_mutex_);
    if (listener_) listener_();
  }
  // Returns when the one before is not called any more.
  void set_listener(std::function<void()> listener) {
    const std::lock_guard<std::mutex> lock(listener_mutex_);
    listener_ = std::move(listener);
  }

  Flight* pop() {
    std::unique_lock<std::mutex> lock(mutex_);
    pushed_.wait(lock, [this] { return !flights_.empty(); });
    Flight* flight = flights_.front();
    flights_.pop_front();
    return flight;
  }
  bool holds_forward() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::any_of(flights_.begin(), flights_.end(),
                       [](const Flight* flight) { return flight->is_forward(); });
  }
  // Waits until so many are there, and takes those out that are no forwards.
  std::vector<Flight*> sift(size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    pushed_.wait(lock, [&] { return flights_.size() == count; });
    std::vector<Flight*> others;
    const auto end = std::remove_if(flights_.begin(), flights_.end(), [&](Flight* flight) {
      if (!flight->is_forward()) others.push_back(flight);
      return !flight->is_forward();
    });
    flights_.erase(end, flights_.end());
    return others;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable pushed_;
  std::deque<Flight*> flights_;
  std::mutex listener_mutex_;  // not the other: a listener may look whether something has come
  std::function<void()> listener_;
};

}  // namespace driftless
