#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "stream/cost_model.h"

namespace driftless {
namespace {

/// A device with known costs.
double truth(const BatchLoad& load) { return 3 + 5 * load.rows + 16 * load.chunks; }

double error_of(const CostModel& model, const BatchLoad& load, double pace = 1) {
  return std::abs(model.expected_ms(load) / (pace * truth(load)) - 1);
}

class Cost : public ::testing::Test {
 protected:
  /// Batches of different shapes.
  BatchLoad shape(int i) {
    const double sessions = 1 + i % 3;
    return {sessions * (1 + i % 4), sessions};
  }
  void learn(CostModel& model, int batches) {
    for (int i = 0; i < batches; ++i) model.observe(shape(i), truth(shape(i)));
  }
  double normal() { return normal_(random_); }

  std::mt19937_64 random_{7};
  std::normal_distribution<double> normal_;
};

TEST_F(Cost, BeforeTheFirstBatchTheWarmUpIsBelieved) {
  const CostModel model(24);
  EXPECT_NEAR(model.expected_ms({1, 1}), 24, 1e-9);
  EXPECT_GT(model.expected_ms({2, 1}), 24);
  EXPECT_GT(model.expected_ms({1, 1}) + model.expected_ms({1, 1}), model.expected_ms({2, 2}));
  EXPECT_GT(model.upper_ms({1, 1}), model.expected_ms({1, 1}));
  EXPECT_EQ(model.expected_ms({}), 0);
  EXPECT_GT(CostModel(0).expected_ms({1, 1}), 0) << "unknown, but not nothing";
}

TEST_F(Cost, LearnsWhatAForwardARowAndAChunkCost) {
  CostModel model(100);
  learn(model, 40);
  for (const BatchLoad& load : {BatchLoad{1, 1}, BatchLoad{4, 1}, BatchLoad{8, 8}}) {
    EXPECT_LT(error_of(model, load), 0.02) << load.rows << " rows, " << load.chunks << " chunks";
  }
  EXPECT_NEAR(model.forward_ms(), 3, 0.3);
}

TEST_F(Cost, LearnsFromTwoSizesThatAForwardIsAllThatCosts) {
  CostModel model(23);
  for (int i = 0; i < 40; ++i) {
    const double sessions = 1 + i % 2;
    model.observe({sessions, sessions}, 56 + 4 * sessions);
  }
  EXPECT_NEAR(model.expected_ms({8, 8}), 88, 4);
}

TEST_F(Cost, KeepsWhatItKnowsOfShapesThatHaveNotRunForLong) {
  CostModel model(24);
  learn(model, 40);
  for (int i = 0; i < 1000; ++i) {
    model.observe({1, 1}, truth({1, 1}) * std::max(0.5, 1 + 0.1 * normal()));
  }
  EXPECT_LT(error_of(model, {4, 1}), 0.1);
  EXPECT_LT(error_of(model, {4, 4}), 0.1);
}

TEST_F(Cost, IsNotImpressedByPageFaults) {
  CostModel model(24);
  learn(model, 40);
  double worst = 0;
  for (int i = 0; i < 500; ++i) {
    model.observe(shape(i), truth(shape(i)) * (i % 17 == 0 ? 10 : 1));
    worst = std::max(worst, error_of(model, {1, 1}));
  }
  EXPECT_LT(worst, 0.1);
  EXPECT_LT(model.upper_ms({1, 1}), 1.1 * truth({1, 1})) << "one batch in 17 is not one in ten";
}

TEST_F(Cost, FollowsADeviceThatBecomesSlowAndRecovers) {
  CostModel model(24);
  learn(model, 40);
  for (const double pace : {4.0, 1.0}) {
    for (int i = 0; i < 6; ++i) model.observe(shape(i), pace * truth(shape(i)));
    EXPECT_LT(error_of(model, {2, 2}, pace), 0.15) << "six batches at pace " << pace;
    for (int i = 0; i < 40; ++i) model.observe(shape(i), pace * truth(shape(i)));
    EXPECT_LT(error_of(model, {1, 1}, pace), 0.02) << "pace " << pace;
  }
}

TEST_F(Cost, NineOfTenBatchesStayBelowTheUpperBound) {
  CostModel model(24);
  int below = 0;
  const int batches = 3000;
  for (int i = 0; i < batches; ++i) {
    const double measured = truth(shape(i)) * std::max(0.5, 1 + 0.15 * normal());
    below += measured <= model.upper_ms(shape(i));
    model.observe(shape(i), measured);
  }
  EXPECT_GT(below, batches * 0.82);
  EXPECT_LT(below, batches * 0.95);
}

TEST_F(Cost, IgnoresWhatCannotBeADuration) {
  CostModel model(24);
  for (const double bad : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    model.observe({1, 1}, bad);
  }
  model.observe({}, 5);
  EXPECT_NEAR(model.expected_ms({1, 1}), 24, 1e-9);
}

}  // namespace
}  // namespace driftless
