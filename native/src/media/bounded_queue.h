#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include "core/error.h"

namespace driftless {

/// What a full queue does with a new item.
enum class DropPolicy {
  kDropOldest,  // live pictures: the newest is worth most
  kDropNewest,  // the waiting ones were promised: the new one is refused
  kClear,       // items that build on each other: without one the rest are worthless
};

/// A queue that never grows beyond its bound and counts what it dropped. Not thread-safe: the owner
/// holds a lock, which it usually shares with more than the queue.
template <typename T>
class BoundedQueue {
 public:
  /// capacity: at least 1 item. Throws driftless::Error otherwise.
  BoundedQueue(size_t capacity, DropPolicy policy) : capacity_(capacity), policy_(policy) {
    if (capacity == 0) throw Error("queue capacity", "at least 1", capacity);
  }

  /// Returns how many items were dropped for it (itself included with kDropNewest and kClear).
  size_t push(T item) {
    if (items_.size() < capacity_) {
      items_.push_back(std::move(item));
      return 0;
    }
    size_t dropped_now = 1;
    if (policy_ == DropPolicy::kDropOldest) {
      items_.pop_front();
      items_.push_back(std::move(item));
    } else if (policy_ == DropPolicy::kClear) {
      dropped_now += items_.size();
      items_.clear();
    }
    dropped_ += dropped_now;
    return dropped_now;
  }

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  size_t capacity() const { return capacity_; }
  uint64_t dropped() const { return dropped_; }
  const T& front() const { return items_.front(); }

  /// The oldest item. The queue must not be empty.
  T pop() {
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

  /// Empties the queue without counting a drop.
  void clear() { items_.clear(); }

 private:
  size_t capacity_;
  DropPolicy policy_;
  std::deque<T> items_;
  uint64_t dropped_ = 0;
};

}  // namespace driftless
