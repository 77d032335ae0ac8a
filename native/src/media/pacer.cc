#include "media/pacer.h"

#include <algorithm>

namespace driftless {

double Pacer::release_time(double chunk_ready_ms, double chunk_capture_ms,
                           double capture_ms) const {
  const double ideal =
      chunk_ready_ms + std::clamp(capture_ms - chunk_capture_ms, 0.0, 4 * kMaxGapMs);
  if (!started_) return ideal;
  const double spacing = std::clamp(capture_ms - last_capture_ms_, 0.0, kMaxGapMs);
  return std::max(ideal, last_release_ms_ + kMinSpacing * spacing);
}

void Pacer::released(double now_ms, double capture_ms) {
  started_ = true;
  last_release_ms_ = now_ms;
  last_capture_ms_ = capture_ms;
}

}  // namespace driftless
