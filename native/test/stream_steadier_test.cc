#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "core/philox.h"
#include "stream/motion_map.h"
#include "stream/steadier.h"

namespace driftless {
namespace {

using Pixels = std::vector<uint8_t>;
constexpr int kWidth = 72, kHeight = 40;  // the last blocks are half as large
constexpr size_t kFrame = 3 * kWidth * kHeight;

Pixels flat(uint8_t value) { return Pixels(kFrame, value); }

Pixels noisy(uint64_t index, double deviation) {
  std::vector<float> noise(kFrame);
  fill_normal(3, index, 0, noise.data(), noise.size());
  Pixels pixels;
  for (const float value : noise) {
    pixels.push_back(
        static_cast<uint8_t>(std::lround(120 + deviation * static_cast<double>(value))));
  }
  return pixels;
}

// Left of `edge` dark, right of it bright.
Pixels half(int edge) {
  Pixels pixels(kFrame);
  for (size_t i = 0; i < kFrame; ++i)
    pixels[i] = static_cast<int>(i / 3) % kWidth < edge ? 90 : 150;
  return pixels;
}

std::vector<uint8_t> motion_of(const Pixels& before, const Pixels& now) {
  MotionMap map(kWidth, kHeight);
  std::vector<uint8_t> motion(map.blocks());
  map.measure(before.data(), now.data(), 1, motion.data());
  return motion;
}

TEST(MotionMap, SeesEdgesThatMoveAndNoNoise) {
  EXPECT_EQ(MotionMap(kWidth, kHeight).columns(), 5);
  EXPECT_EQ(MotionMap(kWidth, kHeight).rows(), 3);
  for (const uint8_t value : motion_of(noisy(1, 3), noisy(2, 3))) EXPECT_LE(value, 5);
  const auto motion = motion_of(half(40), half(41));
  for (size_t block = 0; block < motion.size(); ++block) {
    EXPECT_EQ(motion[block] >= 12, block % 5 == 2) << block;
  }
}

TEST(MotionMap, EverythingMovesAtTheStartAndFramesFollowEachOther) {
  MotionMap map(kWidth, kHeight);
  std::vector<uint8_t> motion(3 * map.blocks());
  Pixels frames = half(40);
  for (const Pixels& next : {half(40), half(48)}) {
    frames.insert(frames.end(), next.begin(), next.end());
  }
  map.measure(nullptr, frames.data(), 3, motion.data());
  EXPECT_EQ(motion[0], 255);
  EXPECT_EQ(*std::max_element(motion.begin() + 15, motion.begin() + 30), 0);
  EXPECT_GT(*std::max_element(motion.begin() + 30, motion.end()), 30);
}

class SteadierTest : public testing::Test {
 protected:
  Pixels show(Pixels frame, uint8_t motion, bool another_look = false) {
    steadier_.apply(frame.data(), 1, std::vector<uint8_t>(15, motion).data(), another_look);
    return frame;
  }

  Arena arena_;
  Steadier steadier_{arena_, kWidth, kHeight, 0.7};
};

TEST_F(SteadierTest, FlickerOfAStillPictureBecomesAThirdAndLess) {
  show(flat(100), 0);
  int most = 0;
  uint8_t before = 0;
  for (int i = 0; i < 40; ++i) {
    const Pixels shown = show(flat(i % 2 == 0 ? 110 : 100), i % 4 < 2 ? 0 : 4);
    if (i > 10) most = std::max(most, std::abs(shown[0] - before));
    before = shown[0];
    EXPECT_TRUE(std::all_of(shown.begin(), shown.end(), [&](int v) { return v == shown[0]; }));
  }
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 1);
}

TEST_F(SteadierTest, AStillPictureArrivesWhereItWasMadeToBe) {
  show(flat(0), 0);
  Pixels shown;
  for (int i = 0; i < 60; ++i) shown = show(flat(255), 0);
  EXPECT_GE(shown[0], 254);
  for (int i = 0; i < 60; ++i) shown = show(flat(0), 0);
  EXPECT_LE(shown[0], 1);
}

TEST_F(SteadierTest, MotionTheStartAndAnotherLookAreShownAsTheyAre) {
  EXPECT_TRUE(show(half(10), 0) == half(10)) << "the start";
  EXPECT_TRUE(show(half(30), 12) == half(30)) << "motion";
  EXPECT_TRUE(show(noisy(1, 20), 0, true) == noisy(1, 20)) << "another look";
  EXPECT_FALSE(show(half(50), 0) == half(50));
}

TEST_F(SteadierTest, NeighboursOfMotionAreFreeAndTheRestIsHeld) {
  show(flat(100), 0);
  std::vector<uint8_t> motion(15, 0);
  motion[0] = 200;  // the corner's block
  Pixels frame = flat(200);
  steadier_.apply(frame.data(), 1, motion.data(), false);
  EXPECT_EQ(frame[0], 200);
  EXPECT_EQ(frame[3 * 20], 200) << "in the block beside it";
  EXPECT_NEAR(frame[kFrame - 1], 130, 1) << "far away";
}

}  // namespace
}  // namespace driftless
