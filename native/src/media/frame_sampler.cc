#include "media/frame_sampler.h"

#include "core/error.h"

namespace driftless {
namespace {

// A step back by more than this is a new clock, not reordering.
constexpr double kClockJumpMs = 500;

}  // namespace

FrameSampler::FrameSampler(double fps) : interval_ms_(fps > 0 ? 1000 / fps : 0) {
  if (!(fps > 0)) throw Error("sampling rate", "more than 0 frames a second", fps);
}

void FrameSampler::set_fps(double fps) {
  const double interval_ms = 1000 / fps;
  if (interval_ms == interval_ms_) return;
  due_ms_ += interval_ms - interval_ms_;
  interval_ms_ = interval_ms;
}

bool FrameSampler::accept(double capture_time_ms) {
  const bool first = !started_ || capture_time_ms < last_ms_ - kClockJumpMs;
  if (!first && capture_time_ms <= last_ms_) return false;
  if (!first && capture_time_ms < due_ms_ - interval_ms_ / 2) return false;
  started_ = true;
  last_ms_ = capture_time_ms;
  // The grid goes on where it was, so that jitter evens out, unless the source has fallen a whole
  // interval behind it: then waiting frames would be let through in a bunch.
  const bool on_grid = !first && capture_time_ms - due_ms_ < interval_ms_;
  due_ms_ = (on_grid ? due_ms_ : capture_time_ms) + interval_ms_;
  return true;
}

}  // namespace driftless
