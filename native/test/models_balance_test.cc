#include <gtest/gtest.h>

#include <numeric>

#include "models/rank_balance.h"

namespace driftless {
namespace {

using Shares = std::vector<int64_t>;

TEST(Balanced, GivesEveryRankWhatItCanDoInTheLeastTime) {
  EXPECT_EQ(balanced({1, 1, 1}, 30), (Shares{10, 10, 10}));
  EXPECT_EQ(balanced({1, 2}, 30), (Shares{20, 10}));
  EXPECT_EQ(balanced({1, 1}, 5), (Shares{3, 2}));
  EXPECT_EQ(balanced({100, 1, 1}, 3), (Shares{1, 1, 1})) << "nobody is left without a block";
  EXPECT_EQ(balanced({100, 1, 1}, 9), (Shares{1, 4, 4}));
}

// Times of ranks with these costs for a block, and a load that has nothing to do with blocks.
std::vector<double> times(const Shares& shares, const std::vector<double>& cost,
                          const std::vector<double>& beside, double length) {
  std::vector<double> busy;
  for (size_t r = 0; r < shares.size(); ++r) {
    busy.push_back(length * (cost[r] * static_cast<double>(shares[r]) + beside[r]));
  }
  return busy;
}

Shares settle(Shares shares, const std::vector<double>& cost, const std::vector<double>& beside,
              int* changes = nullptr) {
  RankBalance balance(shares.size());
  for (int forward = 0; forward < 40 * RankBalance::kWindow; ++forward) {
    balance.observe(times(shares, cost, beside, 1 + forward % 7));
    const Shares wanted = balance.wanted(shares, 3);
    if (changes != nullptr && wanted != shares) ++*changes;
    shares = wanted;
  }
  return shares;
}

TEST(RankBalance, LeavesAGoodSplitAlone) {
  int changes = 0;
  EXPECT_EQ(settle({10, 10, 10}, {1, 1, 1}, {0, 0, 0}, &changes), (Shares{10, 10, 10}));
  EXPECT_EQ(settle({8, 7}, {1, 1.03}, {0, 0}, &changes), (Shares{8, 7}));
  EXPECT_EQ(changes, 0);
}

TEST(RankBalance, FollowsTheMeasuredTimes) {
  EXPECT_EQ(settle({10, 10, 10}, {2, 1, 1}, {0, 0, 0}), (Shares{6, 12, 12}));
  int changes = 0;
  // The first rank's device also has the autoencoder, worth eight blocks.
  const Shares shares = settle({15, 15}, {1, 1}, {8, 0}, &changes);
  EXPECT_NEAR(static_cast<double>(shares[0]), 11, 1);
  EXPECT_LE(changes, 4) << "and then it rests";
}

TEST(RankBalance, WaitsForItsWindowAndLetsOldForwardsPass) {
  RankBalance balance(2);
  const Shares shares = {4, 4};
  for (int i = 1; i < RankBalance::kWindow; ++i) {
    balance.observe({30, 10});
    EXPECT_EQ(balance.wanted(shares, 2), shares);
  }
  balance.observe({30, 10});
  const Shares better = balance.wanted(shares, 2);
  EXPECT_EQ(std::accumulate(better.begin(), better.end(), int64_t{0}), 8);
  EXPECT_LT(better[0], 4);
  // Two that began before, and a window.
  for (int i = 1; i < RankBalance::kWindow + 2; ++i) {
    balance.observe({10, 30});
    EXPECT_EQ(balance.wanted(better, 2), better);
  }
  balance.observe({10, 30});
  EXPECT_GT(balance.wanted(better, 2)[0], better[0]);
}

TEST(RankBalance, IgnoresForwardsWithoutTimes) {
  RankBalance balance(2);
  for (int i = 0; i < 2 * RankBalance::kWindow; ++i) balance.observe({0, 0});
  EXPECT_EQ(balance.wanted({4, 4}, 0), (Shares{4, 4}));
}

}  // namespace
}  // namespace driftless
