#pragma once

// How many blocks each rank of a split transformer should have, learned from how long it had the
// forwards. What else a device does, such as the autoencoder's work, shows in its times.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace driftless {

class RankBalance {
 public:
  // Forwards that a decision looks at.
  static constexpr int kWindow = 24;

  explicit RankBalance(size_t ranks) : shares_of_time_(ranks, 0.0) {}

  // One forward: how long each rank had it. Long and short forwards weigh the same.
  void observe(const std::vector<double>& busy_ms);

  // The blocks that each rank should have, given what it has, once that would relieve the busiest
  // rank by a twentieth at least; else `blocks`. After a change it forgets what it has seen, and
  // lets `under_way` forwards pass that began before it.
  std::vector<int64_t> wanted(const std::vector<int64_t>& blocks, int under_way);

 private:
  std::vector<double> shares_of_time_;  // sums over the forwards seen
  int seen_ = 0;                        // negative: still to be let pass
};

// Blocks for ranks whose blocks cost so much each, at least one for everybody, so that the busiest
// rank is as little busy as can be: every rank takes what it can in the time that is just enough.
std::vector<int64_t> balanced(const std::vector<double>& cost_of_block, int64_t blocks);

}  // namespace driftless
