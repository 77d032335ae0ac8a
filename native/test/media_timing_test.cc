#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/error.h"
#include "media/bounded_queue.h"
#include "media/frame_sampler.h"
#include "media/pacer.h"

namespace driftless {
namespace {

int accepted(FrameSampler& sampler, double fps, double seconds, double jitter_ms,
             double start_ms = 1e12) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> jitter(-jitter_ms, jitter_ms);
  int count = 0;
  for (int i = 0; i < static_cast<int>(fps * seconds); ++i) {
    if (sampler.accept(start_ms + i * 1000 / fps + jitter(random))) ++count;
  }
  return count;
}

TEST(FrameSampler, BringsFasterSourcesToTheRate) {
  for (const double fps : {16.0, 24.0, 25.0, 30.0, 60.0}) {
    FrameSampler sampler(16);
    EXPECT_NEAR(accepted(sampler, fps, 20, 0), 320, 2) << fps << " fps";
  }
}

TEST(FrameSampler, LosesNoFramesToJitter) {
  FrameSampler sampler(16);
  EXPECT_GE(accepted(sampler, 16, 20, 20), 316);
  FrameSampler faster(16);
  EXPECT_NEAR(accepted(faster, 30, 20, 10), 320, 6);
}

TEST(FrameSampler, PassesSlowSourcesWhole) {
  FrameSampler fifteen(16);
  EXPECT_EQ(accepted(fifteen, 15, 20, 2), 300);
  FrameSampler one(16);
  EXPECT_EQ(accepted(one, 1, 20, 50), 20);
}

TEST(FrameSampler, ChoosesEvenlySpacedFrames) {
  FrameSampler sampler(16);
  double last = -1;
  for (int i = 0; i < 300; ++i) {
    const double time = i * 1000.0 / 30;
    if (!sampler.accept(time)) continue;
    if (last >= 0) {
      EXPECT_GE(time - last, 33);
      EXPECT_LE(time - last, 101);
    }
    last = time;
  }
}

TEST(FrameSampler, StartsAnewAfterGapsAndClockJumps) {
  FrameSampler sampler(16);
  EXPECT_TRUE(sampler.accept(1000));
  EXPECT_FALSE(sampler.accept(1010));
  EXPECT_TRUE(sampler.accept(60'000));
  EXPECT_FALSE(sampler.accept(60'010));  // no credit from the gap
  EXPECT_FALSE(sampler.accept(59'900));  // late by a little: dropped
  EXPECT_TRUE(sampler.accept(5'000));    // another clock
  EXPECT_TRUE(sampler.accept(5'062.5));
}

TEST(FrameSampler, RefusesARateOfNothing) {
  EXPECT_THROW(FrameSampler(0), Error);
  EXPECT_THROW(FrameSampler(std::nan("")), Error);
}

// Plays chunks of four frames at 16 fps through the pacer. ready_ms: when each chunk came out.
std::vector<double> play(Pacer& pacer, const std::vector<double>& ready_ms) {
  std::vector<double> released;
  double now = 0;
  for (size_t chunk = 0; chunk < ready_ms.size(); ++chunk) {
    const double first_capture = 250.0 * static_cast<double>(chunk);
    for (int frame = 0; frame < 4; ++frame) {
      const double capture = first_capture + 62.5 * frame;
      now = std::max(
          {now, ready_ms[chunk], pacer.release_time(ready_ms[chunk], first_capture, capture)});
      pacer.released(now, capture);
      released.push_back(now);
    }
  }
  return released;
}

TEST(Pacer, SpreadsAChunkOverItsInterval) {
  Pacer pacer;
  const auto released = play(pacer, {300, 550, 800, 1050});
  for (size_t i = 0; i < released.size(); ++i) {
    EXPECT_NEAR(released[i], 300 + 62.5 * static_cast<double>(i), 0.01);
  }
}

TEST(Pacer, NeverBurstsAndWinsLostTimeBack) {
  Pacer pacer;
  // The second chunk comes 200 ms late, the rest are on time.
  const auto released = play(pacer, {300, 750, 800, 1050, 1300, 1550, 1800, 2050, 2300, 2550});
  for (size_t i = 1; i < released.size(); ++i) {
    EXPECT_GE(released[i] - released[i - 1], 62.5 * Pacer::kMinSpacing - 0.01) << "frame " << i;
  }
  EXPECT_NEAR(released.back(), 2550 + 187.5, 0.01) << "the delay is back where it was";
}

TEST(Pacer, ReanchorsAfterAStall) {
  Pacer pacer;
  const auto released = play(pacer, {300, 550, 10'000, 10'250, 10'500});
  EXPECT_NEAR(released[8], 10'000, 0.01);
  EXPECT_NEAR(released[9], 10'062.5, 0.01);
}

TEST(Pacer, DelayStaysFlatUnderJitterForAnHour) {
  Pacer pacer;
  std::mt19937 random(5);
  std::vector<double> ready;
  for (int chunk = 0; chunk < 4 * 3600; ++chunk)
    ready.push_back(300 + 250.0 * chunk + random() % 60);
  const auto released = play(pacer, ready);
  for (size_t i = 0; i < released.size(); ++i) {
    EXPECT_LT(released[i] - 62.5 * static_cast<double>(i), 300 + 60 + 0.01);
  }
}

TEST(Pacer, TakesCaptureTimesThatStandStillOrGoBack) {
  Pacer pacer;
  pacer.released(100, 5000);
  EXPECT_NEAR(pacer.release_time(120, 4000, 4000), 120, 0.01);
  EXPECT_NEAR(pacer.release_time(120, 4000, 1e9), 120 + 4 * Pacer::kMaxGapMs, 0.01);
}

TEST(BoundedQueue, DropsTheOldest) {
  BoundedQueue<int> queue(3, DropPolicy::kDropOldest);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(queue.push(i), i < 3 ? 0u : 1u);
  EXPECT_EQ(queue.dropped(), 2u);
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.size(), 2u);
}

TEST(BoundedQueue, DropsTheNewest) {
  BoundedQueue<int> queue(2, DropPolicy::kDropNewest);
  for (int i = 0; i < 5; ++i) queue.push(i);
  EXPECT_EQ(queue.dropped(), 3u);
  EXPECT_EQ(queue.pop(), 0);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_TRUE(queue.empty());
}

TEST(BoundedQueue, ClearsWhenItemsBuildOnEachOther) {
  BoundedQueue<int> queue(3, DropPolicy::kClear);
  for (int i = 0; i < 3; ++i) queue.push(i);
  EXPECT_EQ(queue.push(3), 4u);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.push(4), 0u);
  EXPECT_EQ(queue.dropped(), 4u);
}

TEST(BoundedQueue, RefusesACapacityOfNothing) {
  EXPECT_THROW(BoundedQueue<int>(0, DropPolicy::kDropOldest), Error);
}

}  // namespace
}  // namespace driftless
