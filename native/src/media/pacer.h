#pragma once

namespace driftless {

/// Says when each generated frame leaves. A chunk's frames become ready together but were taken one
/// after the other; they leave at the spacing at which they were taken. When a chunk came late, the
/// next frames follow a little closer until the delay is back where it was, but never closer than
/// kMinSpacing of their spacing: lost time is won back slowly and frames never leave in a burst.
/// All times in milliseconds of one monotonic clock that the caller reads, except capture times.
class Pacer {
 public:
  static constexpr double kMinSpacing = 0.75;
  // A source slower than this does not hold back the frames of a chunk any longer.
  static constexpr double kMaxGapMs = 1000;

  /// When the frame may leave; may be in the past, which means at once.
  /// chunk_ready_ms: when its chunk came out of the model. chunk_capture_ms: capture time of the
  /// chunk's first frame. capture_ms: the frame's own.
  double release_time(double chunk_ready_ms, double chunk_capture_ms, double capture_ms) const;

  /// To be told when the frame really left.
  void released(double now_ms, double capture_ms);

 private:
  bool started_ = false;
  double last_release_ms_ = 0;
  double last_capture_ms_ = 0;
};

}  // namespace driftless
