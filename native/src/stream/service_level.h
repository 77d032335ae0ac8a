#pragma once

// What a session promises, and the ladder of what it may be given instead.

#include <array>
#include <cstddef>
#include <cstdint>

namespace driftless {

/// What a session promises its viewers.
struct Slo {
  double fps = 16;               // generated frames a second
  double delay_budget_ms = 250;  // from the chunk being complete to its frames being generated
};

/// In the order in which it is lost.
enum class LevelKind : uint8_t { kFull, kFewerSteps, kLowerRate, kSmallerPicture, kFallback };

/// What a session is given.
struct Level {
  LevelKind kind = LevelKind::kFull;
  int steps = 1;
  double rate = 1;  // share of the promised frame rate
  double area = 1;  // share of the model's picture
};

/// The levels of one session, best first. Each keeps what the ones above it have lost: steps are
/// halved down to one, then the rate falls to 3/4 and 1/2, then the picture gets smaller where the
/// pipeline can, then nothing new is made.
class Ladder {
 public:
  Ladder() = default;
  /// steps: what the settings ask for, 1 to 64. smaller_area: share of the picture at the smaller
  /// size, 0 where there is none.
  Ladder(int steps, double smaller_area);

  size_t size() const { return size_; }
  const Level& operator[](size_t rung) const { return rungs_[rung]; }

  /// The rung on which somebody stands who stood on `before` of another ladder: full stays full,
  /// everybody else gets at most what they had.
  size_t rung_of(const Level& before) const;

 private:
  void add(const Level& level) { rungs_[size_++] = level; }

  // Full, six halvings of 64 steps, two rates, a size, fallback.
  std::array<Level, 11> rungs_;
  size_t size_ = 0;
};

}  // namespace driftless
