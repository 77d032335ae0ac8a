#pragma once

#include <cstdint>

namespace driftless {

/// Chooses the frames that go to the model: at most `fps` a second of capture time, by dropping,
/// never by repeating. Frames may come early or late by up to half an interval without a frame
/// being lost for it; a source slower than the rate passes whole; after a gap or a jump of the
/// clock in either direction it starts anew with the frame at hand.
class FrameSampler {
 public:
  /// fps: above 0. Throws driftless::Error otherwise.
  explicit FrameSampler(double fps);

  /// Whether the frame with this capture time is to be used. Call once for each frame in order.
  bool accept(double capture_time_ms);

  /// Another rate from the next frame on. fps: above 0.
  void set_fps(double fps);

  double interval_ms() const { return interval_ms_; }

 private:
  double interval_ms_;
  double due_ms_ = 0;
  double last_ms_ = 0;
  bool started_ = false;
};

}  // namespace driftless
