#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/philox.h"
#include "stream/picture_guard.h"

namespace driftless {
namespace {

constexpr size_t kPixels = 400;  // 20 x 20
constexpr int kMinute = 240;     // chunks

// A camera of noise, a look that is a map of it, and a decoder that may wander on top.
class PictureGuardTest : public testing::Test {
 protected:
  // One chunk; returns the mean of what is shown in one channel.
  double chunk(double light, double wander, size_t channel) {
    std::vector<float> noise(3 * kPixels);
    fill_normal(1, ++index_, 0, noise.data(), noise.size());
    std::vector<uint8_t> camera, pictures;
    for (size_t i = 0; i < noise.size(); ++i) {
      const double value = 110 + light + 30 * static_cast<double>(noise[i]);
      camera.push_back(byte(value));
      pictures.push_back(byte(40 + 0.7 * value + (i % 3 == 1 ? wander : 0)));
    }
    const std::vector<uint8_t> made = pictures;
    const auto tensor = [](std::vector<uint8_t>& pixels) {
      return Tensor(DType::u8, {1, 20, 20, 3}, pixels.data());
    };
    ChannelFeatures look;
    guard_.look(tensor(camera), look);
    const bool changed = guard_.apply(look, tensor(pictures));
    EXPECT_TRUE(changed || made == pictures) << "what is not corrected is not touched";
    double sum = 0;
    for (size_t i = channel; i < pictures.size(); i += 3) sum += pictures[i];
    return sum / kPixels;
  }
  static uint8_t byte(double value) {
    return static_cast<uint8_t>(std::clamp(std::lround(value), 0L, 255L));
  }

  std::unique_ptr<Ops> ops_ = make_ops("reference");
  PictureGuard guard_{*ops_, 0.25};
  uint64_t index_ = 0;
};

TEST_F(PictureGuardTest, LeavesASteadyPictureAlone) {
  for (int i = 0; i < 4 * kMinute; ++i) chunk(0, 0, 0);
  EXPECT_EQ(guard_.counters().corrected, 0u);
  EXPECT_EQ(guard_.counters().anchors, 1u);
}

TEST_F(PictureGuardTest, PullsAColourBackThatWanders) {
  double before = 0, green = 0, red = 0;
  for (int i = 0; i < kMinute; ++i) before = chunk(0, 0, 1);
  for (int i = 0; i < 5 * kMinute; ++i) green = chunk(0, std::min(30.0, 0.05 * i), 1);
  red = chunk(0, 30, 0);
  EXPECT_GT(guard_.counters().corrected, 0u);
  // It stays within what is left alone, 0.1 of 64 values, and the average's lag.
  EXPECT_NEAR(green, before, 9);
  EXPECT_NEAR(red, 40 + 0.7 * 110, 3) << "other colours are not touched";
}

TEST_F(PictureGuardTest, ALampIsNotDrift) {
  for (int i = 0; i < kMinute; ++i) chunk(0, 0, 1);
  double shown = 0;
  for (int i = 0; i < 2 * kMinute; ++i) shown = chunk(40, 0, 1);
  EXPECT_EQ(guard_.counters().corrected, 0u);
  EXPECT_NEAR(shown, 40 + 0.7 * 150, 5);
}

TEST_F(PictureGuardTest, AnotherLookIsAnotherAnchor) {
  for (int i = 0; i < kMinute; ++i) chunk(0, 0, 1);
  guard_.restart();
  double shown = 0;
  for (int i = 0; i < kMinute; ++i) shown = chunk(0, 50, 1);
  EXPECT_EQ(guard_.counters().corrected, 0u);
  EXPECT_EQ(guard_.counters().anchors, 2u);
  EXPECT_NEAR(shown, 40 + 0.7 * 110 + 50, 3);
}

}  // namespace
}  // namespace driftless
