#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "media/bounded_queue.h"
#include "media/session_types.h"

namespace driftless {

/// Encoded frames that wait for the owner. Encoded frames build on each other, so when one has to
/// go, all go until the next key frame. Not thread-safe.
class FrameOutbox {
 public:
  struct PushResult {
    size_t dropped_full = 0;   // frames dropped because the box was full
    size_t dropped_stale = 0;  // frames dropped because they build on dropped ones
    bool need_key_frame = false;
  };

  explicit FrameOutbox(size_t capacity);

  PushResult push(OutgoingFrame frame);
  std::optional<OutgoingFrame> pop();
  /// Takes out the frames that show the room, and returns how many. Those of another source that
  /// follow begin with a key frame; others wait for one.
  size_t drop_rooms();
  /// A frame was encoded that does not come here: what builds on it waits for a key frame.
  void skip() { awaiting_key_frame_ = true; }
  size_t size() const { return queue_.size(); }

 private:
  BoundedQueue<OutgoingFrame> queue_;
  bool awaiting_key_frame_ = false;
};

}  // namespace driftless
