#include "stream/service_level.h"

namespace driftless {

Ladder::Ladder(int steps, double smaller_area) {
  Level level;
  level.steps = steps;
  add(level);
  level.kind = LevelKind::kFewerSteps;
  while (level.steps > 1) {
    level.steps = (level.steps + 1) / 2;
    add(level);
  }
  level.kind = LevelKind::kLowerRate;
  for (const double rate : {0.75, 0.5}) {
    level.rate = rate;
    add(level);
  }
  if (smaller_area > 0) {
    level.kind = LevelKind::kSmallerPicture;
    level.area = smaller_area;
    add(level);
  }
  level.kind = LevelKind::kFallback;
  add(level);
}

size_t Ladder::rung_of(const Level& before) const {
  if (before.kind == LevelKind::kFull) return 0;
  for (size_t rung = 0; rung < size_; ++rung) {
    const Level& level = rungs_[rung];
    if (before.kind == LevelKind::kFewerSteps
            ? level.steps <= before.steps
            : level.kind == before.kind && level.rate == before.rate) {
      return rung;
    }
  }
  return size_ - 1;
}

}  // namespace driftless
