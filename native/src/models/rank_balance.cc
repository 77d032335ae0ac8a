#include "models/rank_balance.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace driftless {

namespace {

// Of the busiest rank's time, that a move must save.
constexpr double kLeastGain = 0.05;

double busiest(const std::vector<double>& cost_of_block, const std::vector<int64_t>& blocks) {
  double most = 0;
  for (size_t r = 0; r < blocks.size(); ++r) {
    most = std::max(most, cost_of_block[r] * static_cast<double>(blocks[r]));
  }
  return most;
}

}  // namespace

std::vector<int64_t> balanced(const std::vector<double>& cost_of_block, int64_t blocks) {
  // One for each, and every further block to where it ends soonest.
  std::vector<int64_t> shares(cost_of_block.size(), 1);
  for (auto left = blocks - static_cast<int64_t>(shares.size()); left > 0; --left) {
    size_t best = 0;
    double soonest = std::numeric_limits<double>::infinity();
    for (size_t r = 0; r < shares.size(); ++r) {
      const double end = cost_of_block[r] * static_cast<double>(shares[r] + 1);
      if (end < soonest) {
        soonest = end;
        best = r;
      }
    }
    ++shares[best];
  }
  return shares;
}

void RankBalance::observe(const std::vector<double>& busy_ms) {
  if (++seen_ <= 0) return;
  const double total = std::accumulate(busy_ms.begin(), busy_ms.end(), 0.0);
  if (!(total > 0)) {
    --seen_;
    return;
  }
  for (size_t r = 0; r < busy_ms.size(); ++r) shares_of_time_[r] += busy_ms[r] / total;
}

std::vector<int64_t> RankBalance::wanted(const std::vector<int64_t>& blocks, int under_way) {
  if (seen_ < kWindow) return blocks;
  std::vector<double> cost_of_block(blocks.size());
  for (size_t r = 0; r < blocks.size(); ++r) {
    cost_of_block[r] = shares_of_time_[r] / static_cast<double>(blocks[r]);
  }
  const int64_t all = std::accumulate(blocks.begin(), blocks.end(), int64_t{0});
  const std::vector<int64_t> better = balanced(cost_of_block, all);
  const bool worth =
      busiest(cost_of_block, better) < (1 - kLeastGain) * busiest(cost_of_block, blocks);
  std::fill(shares_of_time_.begin(), shares_of_time_.end(), 0.0);
  seen_ = worth ? -under_way : 0;
  return worth ? better : blocks;
}

}  // namespace driftless
