#include "media/frame_outbox.h"

namespace driftless {

FrameOutbox::FrameOutbox(size_t capacity) : queue_(capacity, DropPolicy::kClear) {}

FrameOutbox::PushResult FrameOutbox::push(OutgoingFrame frame) {
  PushResult result;
  const bool key_frame = frame.picture.key_frame;
  if (awaiting_key_frame_ && !key_frame) {
    result.dropped_stale = 1;
    result.need_key_frame = true;
    return result;
  }
  awaiting_key_frame_ = false;
  if (key_frame && queue_.size() == queue_.capacity()) {
    // Nothing that follows builds on the waiting ones any more.
    result.dropped_full = queue_.size();
    queue_.clear();
  }
  result.dropped_full += queue_.push(std::move(frame));
  if (result.dropped_full > 0 && !key_frame) {
    awaiting_key_frame_ = true;
    result.need_key_frame = true;
  }
  return result;
}

std::optional<OutgoingFrame> FrameOutbox::pop() {
  if (queue_.empty()) return std::nullopt;
  return queue_.pop();
}

size_t FrameOutbox::drop_rooms() {
  size_t dropped = 0;
  for (size_t left = queue_.size(); left > 0; --left) {
    OutgoingFrame frame = queue_.pop();
    const bool shows_room = frame.shows_room;
    if (!shows_room) queue_.push(std::move(frame));
    dropped += shows_room;
    if (left == 1 && shows_room) skip();
  }
  return dropped;
}

}  // namespace driftless
