#include <gtest/gtest.h>

#include "core/error.h"
#include "stream/flow_schedule.h"
#include "stream/noise_controller.h"

namespace driftless {
namespace {

TEST(FlowSchedule, LooksUpTheNearestEntry) {
  const FlowSchedule schedule(8.0, 1000);
  EXPECT_EQ(schedule.nearest(1000), 0);
  EXPECT_EQ(schedule.nearest(700), 774);
  EXPECT_EQ(schedule.nearest(0), 999);
  EXPECT_FLOAT_EQ(schedule.sigma(700), 0.70023239f);
  EXPECT_FLOAT_EQ(schedule.sigma(500), 0.49971864f);
}

TEST(FlowSchedule, WithoutShiftSigmaIsTheTimestep) {
  const FlowSchedule schedule(1.0, 1000);
  EXPECT_FLOAT_EQ(schedule.sigma(700), 0.7f);
}

TEST(StepList, TakesTheFirstStepsAndDropsZeros) {
  const std::vector<int> all{700, 500, 400, 200, 0};
  EXPECT_EQ(step_list(all, 1), (std::vector<int>{700}));
  EXPECT_EQ(step_list(all, 4), (std::vector<int>{700, 500, 400, 200}));
  EXPECT_THROW(step_list(all, 0), Error);
  EXPECT_THROW(step_list(all, 5), Error);
}

TEST(Noising, IsUndoneByTheTrueFlow) {
  const float x0[] = {0.5f, -1.0f, 2.0f}, noise[] = {1.0f, 0.25f, -0.5f};
  float x[3], flow[3], back[3];
  add_noise(x0, noise, 0.75f, 3, x);
  for (int i = 0; i < 3; ++i) flow[i] = noise[i] - x0[i];
  x0_from_flow(x, flow, 0.75f, 3, back);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(back[i], x0[i], 1e-6f);
}

// Of frames of 12 values.
TEST(NoiseController, StillPictureKeepsTheFullNoise) {
  NoiseController controller(NoiseControllerConfig{});
  for (int i = 0; i < 20; ++i) {
    const auto decision = controller.next({0, 0, 0, 0}, 12);
    EXPECT_EQ(decision.step, 700);  // single precision would give 699
    EXPECT_EQ(decision.d, 0.0f);
  }
}

TEST(NoiseController, MotionTakesNoiseOffSmoothly) {
  NoiseController controller(NoiseControllerConfig{});
  const auto decision = controller.next({0, 12 * 255 * 255, 0, 0}, 12);  // a hard cut
  EXPECT_FLOAT_EQ(decision.d, 1.0f);
  EXPECT_NEAR(decision.noise_scale, 0.9 * 0.7 + 0.1 * 0.8, 1e-12);
  EXPECT_FLOAT_EQ(decision.r[0], 0.0f);
  EXPECT_FLOAT_EQ(decision.r[1], 2.0f);
}

}  // namespace
}  // namespace driftless
