#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "core/philox.h"
#include "stream/latent_guard.h"

namespace driftless {
namespace {

constexpr size_t kPixels = 96, kChannels = 4;
constexpr int kMinute = 240;  // chunks

// Per channel statistics of a latent.
struct Statistics {
  double mean[kChannels] = {}, std[kChannels] = {};
};

Statistics statistics_of(const std::vector<float>& latent) {
  Statistics s;
  for (size_t c = 0; c < kChannels; ++c) {
    double sum = 0, squares = 0;
    for (size_t p = 0; p < kPixels; ++p) {
      const double value = static_cast<double>(latent[p * kChannels + c]);
      sum += value;
      squares += value * value;
    }
    s.mean[c] = sum / kPixels;
    s.std[c] = std::sqrt(squares / kPixels - s.mean[c] * s.mean[c]);
  }
  return s;
}

// A camera of noise with light and contrast, a look that is a map of it, and a network that may
// wander on top.
class DriftGuardTest : public testing::Test {
 protected:
  static DriftGuardConfig config() {
    DriftGuardConfig config;
    config.channels = kChannels;
    return config;
  }

  // Puts `shown_` through the guard; returns whether that changed it.
  bool guarded(std::vector<float>& input) {
    const Shape shape{kPixels, kChannels};
    const std::vector<float> before = shown_;
    latents_.apply(Tensor(shape, input.data()), Tensor(shape, shown_.data()));
    latents_.follow();
    return std::memcmp(before.data(), shown_.data(), sizeof(float) * before.size()) != 0;
  }

  // One chunk whose channel 1 wandered; returns whether the guard changed it. `shown_` is what came
  // out of it.
  bool chunk(double gain = 1, double shift = 0) {
    std::vector<float> input(kPixels * kChannels);
    fill_normal(1, ++index_, 0, input.data(), input.size());
    for (float& value : input) value = static_cast<float>(light_ + contrast_ * double(value));
    shown_ = input;
    for (size_t i = 0; i < shown_.size(); ++i) {
      const double sign = i % kChannels % 2 == 0 ? 1 : -1;
      double value = look_shift_ + sign * look_gain_ * static_cast<double>(input[i]);
      if (i % kChannels == 1) value = shift + gain * value;
      shown_[i] = static_cast<float>(value);
    }
    made_ = shown_;
    return guarded(input);
  }

  // Runs chunks and expects the guard to leave every one of them alone, to the last bit.
  void expect_untouched(int chunks, const char* when) {
    for (int i = 0; i < chunks; ++i) {
      const bool changed = chunk();
      ASSERT_FALSE(changed) << when << ", chunk " << i;
      ASSERT_TRUE(shown_ == made_) << when << ", chunk " << i;
    }
  }

  double light_ = 0, contrast_ = 1;          // of the input
  double look_gain_ = 1.5, look_shift_ = 0;  // what the look makes of it
  uint64_t index_ = 0;
  std::vector<float> made_, shown_;
  std::unique_ptr<Ops> ops_ = make_ops("reference");
  LatentGuard latents_{config(), *ops_};
  DriftGuard& guard_ = latents_.guard();
};

TEST_F(DriftGuardTest, LeavesASteadyStreamAlone) {
  expect_untouched(20 * kMinute, "steady");
  EXPECT_EQ(guard_.counters().anchors, 1u);
  EXPECT_EQ(guard_.counters().corrected, 0u);
  EXPECT_GT(guard_.wandering(), 0.0);
  EXPECT_LT(guard_.wandering(), 1.0);
}

// Contrast that grows by half in ten minutes: unguarded it would end at 1.5.
TEST_F(DriftGuardTest, HoldsAGrowingGain) {
  for (int i = 0; i < 10 * kMinute; ++i) chunk(1 + 0.5 * i / (10 * kMinute), 0);
  const double made = statistics_of(made_).std[1], shown = statistics_of(shown_).std[1];
  EXPECT_GT(made / look_gain_, 1.3);
  EXPECT_LT(std::abs(std::log(shown / look_gain_)), 0.35) << "bound plus the noise of one chunk";
  EXPECT_GT(guard_.counters().corrected, 0u);
  EXPECT_GT(guard_.counters().renewals, 0u);
  EXPECT_TRUE(guard_.take_renewal());
  EXPECT_FALSE(guard_.take_renewal()) << "told once";
}

TEST_F(DriftGuardTest, HoldsAGrowingOffset) {
  double worst = 0;
  const double noise = 4 * look_gain_ / std::sqrt(double(kPixels));
  for (int i = 0; i < 10 * kMinute; ++i) {
    chunk(1, 0.6 * i / (10 * kMinute));
    worst = std::max(worst, std::abs(statistics_of(shown_).mean[1]));
  }
  EXPECT_GT(std::abs(statistics_of(made_).mean[1]), 0.4);
  EXPECT_LT(worst, 0.15 + 2 * 0.1 + noise);
}

// Other channels than the one that wanders keep their values.
TEST_F(DriftGuardTest, TouchesOnlyWhatWanders) {
  for (int i = 0; i < 5 * kMinute; ++i) chunk(1, 1.2 * i / (5 * kMinute));
  ASSERT_GT(guard_.counters().corrected, 0u);
  for (size_t i = 0; i < shown_.size(); ++i) {
    if (i % kChannels != 1) {
      ASSERT_EQ(shown_[i], made_[i]);
    }
  }
}

// A jump of the network itself, such as saturated colours: pulled back without a cut.
TEST_F(DriftGuardTest, PullsBackSoftly) {
  for (int i = 0; i < kMinute; ++i) chunk();
  double before = 0;
  for (int i = 0; i < kMinute; ++i) {
    chunk(1, 0.8);
    const double correction = statistics_of(shown_).mean[1] - statistics_of(made_).mean[1];
    ASSERT_LE(std::abs(correction - before), config().slew * config().chunk_s + 1e-6);
    before = correction;
  }
  EXPECT_NEAR(before, -(0.8 - config().bound), 0.15);
  // And it lets go when the network comes back.
  for (int i = 0; i < 2 * kMinute; ++i) chunk();
  expect_untouched(kMinute, "back");
}

TEST_F(DriftGuardTest, NeverCorrectsBeyondItsLimit) {
  for (int i = 0; i < kMinute; ++i) chunk();
  for (int i = 0; i < 3 * kMinute; ++i) chunk(1, 5);
  const double correction = statistics_of(shown_).mean[1] - statistics_of(made_).mean[1];
  EXPECT_NEAR(correction, -config().limit, 1e-3);
}

TEST_F(DriftGuardTest, ASwitchedLampIsNotDrift) {
  expect_untouched(kMinute, "lamp on");
  for (int i = 0; i < 6; ++i) {
    light_ = i % 2 == 0 ? -0.8 : 0;
    contrast_ = i % 2 == 0 ? 0.5 : 1;
    expect_untouched(10 * 4, "lamp switched");
  }
}

TEST_F(DriftGuardTest, AnotherSceneGetsAnAnchorOfItsOwn) {
  expect_untouched(kMinute, "first scene");
  light_ = 0.9;
  contrast_ = 1.4;
  expect_untouched(5 * kMinute, "second scene");
  EXPECT_EQ(guard_.counters().anchors, 2u);
  // There the bound is as tight as it was in the first.
  for (int i = 0; i < 2 * kMinute; ++i) chunk(1, 1);
  EXPECT_GT(guard_.counters().corrected, 0u);
}

TEST_F(DriftGuardTest, AnotherPromptIsNotDrift) {
  expect_untouched(kMinute, "first prompt");
  guard_.restart();
  look_gain_ = 0.6;
  look_shift_ = 1.1;
  expect_untouched(3 * kMinute, "second prompt");
  EXPECT_EQ(guard_.counters().anchors, 2u);
}

TEST_F(DriftGuardTest, CorrectionsFadeOnAnotherPrompt) {
  for (int i = 0; i < kMinute; ++i) chunk();
  for (int i = 0; i < kMinute; ++i) chunk(1, 0.8);
  guard_.restart();
  int chunks = 0;
  while (chunk() && chunks < kMinute) ++chunks;
  EXPECT_GT(chunks, 20) << "no cut";
  expect_untouched(2 * kMinute, "new prompt");
}

TEST_F(DriftGuardTest, SkipsWhatIsNotANumber) {
  for (int i = 0; i < kMinute; ++i) chunk();
  std::vector<float> input(kPixels * kChannels, 0.5f);
  shown_.assign(kPixels * kChannels, std::nanf(""));
  EXPECT_FALSE(guarded(input));
  expect_untouched(kMinute, "afterwards");
}

}  // namespace
}  // namespace driftless
