#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "media/compute_loop.h"
#include "media_test_listener.h"
#include "media_test_pipeline.h"

namespace driftless {
namespace {

class Compute : public ::testing::Test {
 protected:
  static Transform restyle(int steps = 1, const std::string& prompt = "") {
    Transform transform;
    transform.settings.steps = steps;
    transform.settings.prompt = prompt;
    return transform;
  }
  static Transform passthrough() {
    Transform transform;
    transform.mode = TransformMode::kPassthrough;
    return transform;
  }
  /// Chunk number n: every pixel is n, captured at 1000 n + 0, 1, 2, 3.
  Chunk chunk(uint8_t number) {
    Chunk made;
    made.rgb.assign(static_cast<size_t>(64) * 32 * 3 * 4, number);
    for (int i = 0; i < 4; ++i) made.frames.push_back({1000.0 * number + i, 0, 0, nullptr, {}, {}});
    return made;
  }

  InvertingPipeline pipeline_;
  SessionCounters counters_, other_counters_;
  Collector listener_, other_;
};

TEST_F(Compute, RepaintsAChunkAndKeepsItsCaptureTimes) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  loop.submit(track, chunk(7));
  ASSERT_TRUE(listener_.wait(1));
  const GeneratedChunk out = listener_.chunks()[0];
  EXPECT_EQ(out.rgb[0], 248);
  EXPECT_EQ(out.frames[3].capture_ms, 7003);
  EXPECT_EQ(out.revision, 0u);
  loop.remove(track);
}

TEST_F(Compute, RunsTracksThatAreLateAsOneBatch) {
  ComputeLoop loop(&pipeline_);
  const Slo slo{1, 60};
  const auto first = loop.add(listener_, counters_, restyle(), slo);
  const auto second = loop.add(other_, other_counters_, restyle(), slo);
  // It learns that the device is fast; the batch that is held longer than the budget is an outlier.
  size_t runs = 0;
  while (runs < 20) {
    loop.submit(first, chunk(1));
    ASSERT_TRUE(listener_.wait(++runs));
  }
  pipeline_.hold();
  loop.submit(first, chunk(1));
  pipeline_.wait_for_runs(++runs);
  loop.submit(first, chunk(2));
  loop.submit(second, chunk(3));
  std::this_thread::sleep_for(std::chrono::milliseconds(80));
  pipeline_.release();
  ASSERT_TRUE(listener_.wait(runs + 1));
  ASSERT_TRUE(other_.wait(1));
  EXPECT_EQ(pipeline_.batch_sizes().back(), 2u);
  EXPECT_EQ(other_.chunks()[0].rgb[0], 252);
  loop.remove(first);
  loop.remove(second);
}

// A large text encoder takes seconds; whoever is being repainted meanwhile goes on.
TEST_F(Compute, APromptThatTakesLongHoldsNobodyUp) {
  ComputeLoop loop(&pipeline_);
  const auto fresh = loop.add(listener_, counters_, restyle(1, "long, and its first"));
  const auto running = loop.add(other_, other_counters_, restyle());
  loop.submit(fresh, chunk(1));
  loop.submit(fresh, chunk(2));
  loop.submit(running, chunk(3));
  ASSERT_TRUE(other_.wait(1));
  EXPECT_EQ(loop.set_transform(running, restyle(1, "long")), 1u);
  loop.submit(running, chunk(4));
  ASSERT_TRUE(other_.wait(2));
  EXPECT_EQ(other_.chunks()[1].revision, 0u);
  EXPECT_TRUE(listener_.chunks().empty());
  pipeline_.encode_prompts();
  ASSERT_TRUE(listener_.wait(1));
  EXPECT_EQ(listener_.chunks()[0].frames[0].capture_ms, 2000);
  // The second prompt is taken up as soon as it is encoded.
  for (size_t runs = 3; other_.chunks().back().revision == 0 && runs < 1000; ++runs) {
    loop.submit(running, chunk(5));
    ASSERT_TRUE(other_.wait(runs));
  }
  EXPECT_EQ(other_.chunks().back().revision, 1u);
  loop.remove(fresh);
  loop.remove(running);
}

TEST_F(Compute, NewSettingsTakeThePlaceOfThoseWhosePromptIsBeingEncoded) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle(1, "long"));
  EXPECT_EQ(loop.set_transform(track, restyle(1, "short")), 1u);
  loop.submit(track, chunk(1));
  ASSERT_TRUE(listener_.wait(1));
  EXPECT_EQ(listener_.chunks()[0].revision, 1u);
  pipeline_.encode_prompts();
  loop.submit(track, chunk(2));
  ASSERT_TRUE(listener_.wait(2));
  EXPECT_EQ(listener_.chunks()[1].revision, 1u);
  loop.remove(track);
}

TEST_F(Compute, TheNewestChunkReplacesTheOneThatWaits) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  pipeline_.hold();
  loop.submit(track, chunk(1));
  pipeline_.wait_for_runs(1);
  for (uint8_t number = 2; number <= 5; ++number) loop.submit(track, chunk(number));
  EXPECT_TRUE(loop.chunk_waiting(track));
  pipeline_.release();
  ASSERT_TRUE(listener_.wait(2));
  EXPECT_EQ(listener_.chunks()[1].frames[0].capture_ms, 5000);
  EXPECT_EQ(counters_.drop_chunk_replaced, 12u);
  loop.remove(track);
}

TEST_F(Compute, SeveralStepsGiveFramesOfTheChunkTheyBelongTo) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle(3));
  for (uint8_t number = 1; number <= 5; ++number) {
    loop.submit(track, chunk(number));
    pipeline_.wait_for_runs(number);
    ASSERT_TRUE(listener_.wait(number < 3 ? 0 : number - 2));
    while (loop.chunk_waiting(track)) std::this_thread::yield();
  }
  const auto chunks = listener_.chunks();
  ASSERT_EQ(chunks.size(), 3u);
  for (size_t i = 0; i < chunks.size(); ++i) {
    EXPECT_EQ(chunks[i].rgb[0], 254 - i);
    EXPECT_EQ(chunks[i].frames[0].capture_ms, 1000.0 * static_cast<double>(i + 1));
  }
  loop.remove(track);
}

TEST_F(Compute, FewerStepsLoseTheChunksBetweenAndCountThem) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle(4));
  for (uint8_t number = 1; number <= 3; ++number) {
    loop.submit(track, chunk(number));
    pipeline_.wait_for_runs(number);
  }
  EXPECT_EQ(loop.set_transform(track, restyle(1)), 1u);
  loop.submit(track, chunk(4));
  ASSERT_TRUE(listener_.wait(1));
  EXPECT_EQ(listener_.chunks()[0].frames[0].capture_ms, 4000);
  EXPECT_EQ(counters_.drop_stream_batch, 12u);
  loop.remove(track);
}

TEST_F(Compute, ChunksCarryTheRevisionTheyWereMadeWith) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle(1, "a"));
  loop.submit(track, chunk(1));
  ASSERT_TRUE(listener_.wait(1));
  EXPECT_EQ(loop.set_transform(track, restyle(1, "b")), 1u);
  EXPECT_EQ(loop.set_transform(track, restyle(1, "c")), 2u);
  loop.submit(track, chunk(2));
  ASSERT_TRUE(listener_.wait(2));
  EXPECT_EQ(loop.set_transform(track, passthrough()), 3u);
  loop.submit(track, chunk(3));
  ASSERT_TRUE(listener_.wait(3));
  EXPECT_EQ(loop.set_transform(track, restyle(1, "d")), 4u);
  loop.submit(track, chunk(4));
  ASSERT_TRUE(listener_.wait(4));
  const auto chunks = listener_.chunks();
  EXPECT_EQ(chunks[0].revision, 0u);
  EXPECT_EQ(chunks[1].revision, 2u);
  EXPECT_EQ(chunks[2].revision, 3u);
  EXPECT_EQ(chunks[2].rgb[0], 3) << "passed through unchanged";
  EXPECT_EQ(chunks[3].revision, 4u);
  EXPECT_EQ(chunks[3].rgb[0], 251);
  loop.remove(track);
}

TEST_F(Compute, RefusedSettingsLeaveTheFormerOnesInForce) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  loop.submit(track, chunk(1));
  ASSERT_TRUE(listener_.wait(1));
  loop.set_transform(track, restyle(1, "refused"));
  loop.submit(track, chunk(2));
  ASSERT_TRUE(listener_.wait(2, 1));
  EXPECT_FALSE(listener_.events()[0].fatal);
  EXPECT_NE(listener_.events()[0].text.find("refused"), std::string::npos);
  EXPECT_EQ(listener_.chunks()[1].revision, 0u);
  loop.remove(track);
}

TEST_F(Compute, AFailedBatchIsReportedAndTheStreamBeginsAnew) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  pipeline_.fail_next(1);
  loop.submit(track, chunk(1));
  ASSERT_TRUE(listener_.wait(0, 1));
  EXPECT_FALSE(listener_.events()[0].fatal);
  loop.submit(track, chunk(2));
  ASSERT_TRUE(listener_.wait(1));
  EXPECT_EQ(counters_.compute_errors, 1u);
  EXPECT_EQ(counters_.drop_compute_error, 4u);
  loop.remove(track);
}

TEST_F(Compute, ThreeFailuresInARowAreFatalOnce) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  pipeline_.fail_next(5);
  for (uint8_t number = 1; number <= 5; ++number) {
    loop.submit(track, chunk(number));
    pipeline_.wait_for_runs(number);
    while (counters_.compute_errors < number) std::this_thread::yield();
  }
  loop.submit(track, chunk(6));
  ASSERT_TRUE(listener_.wait(1, 3));
  const auto events = listener_.events();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_FALSE(events[1].fatal);
  EXPECT_TRUE(events[2].fatal);
  loop.remove(track);
}

TEST_F(Compute, ALostDeviceIsToldToEverySessionOfTheBatch) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  pipeline_.lose_device();
  loop.submit(track, chunk(1));
  ASSERT_TRUE(listener_.wait(0, 2));
  const auto events = listener_.events();
  EXPECT_EQ(events[0].type, SessionEvent::Type::kError);
  EXPECT_EQ(events[1].type, SessionEvent::Type::kDeviceLost);
  EXPECT_NE(events[1].text.find("illegal memory access"), std::string::npos);
  loop.remove(track);
}

// Also where the stream is only being opened or changed.
TEST_F(Compute, ALostDeviceIsToldWhateverFindsIt) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  loop.submit(track, chunk(1));
  ASSERT_TRUE(listener_.wait(1));
  loop.set_transform(track, restyle(1, "device lost"));
  loop.submit(track, chunk(2));
  ASSERT_TRUE(listener_.wait(1, 2));
  EXPECT_EQ(listener_.events()[1].type, SessionEvent::Type::kDeviceLost);
  const auto fresh = loop.add(other_, other_counters_, restyle(1, "device lost"));
  loop.submit(fresh, chunk(3));
  ASSERT_TRUE(other_.wait(0, 2));
  EXPECT_EQ(other_.events()[1].type, SessionEvent::Type::kDeviceLost);
  loop.remove(track);
  loop.remove(fresh);
}

TEST_F(Compute, WithoutAModelOnlyPassthroughWorks) {
  ComputeLoop loop(nullptr);
  const auto plain = loop.add(listener_, counters_, passthrough());
  const auto wants = loop.add(other_, other_counters_, restyle());
  loop.submit(plain, chunk(1));
  loop.submit(wants, chunk(2));
  ASSERT_TRUE(listener_.wait(1));
  ASSERT_TRUE(other_.wait(0, 1));
  EXPECT_NE(other_.events()[0].text.find("model"), std::string::npos);
  loop.remove(plain);
  loop.remove(wants);
}

TEST_F(Compute, RemoveWaitsForTheBatchAndEndsTheStreamOnTheComputeThread) {
  ComputeLoop loop(&pipeline_);
  const auto track = loop.add(listener_, counters_, restyle());
  pipeline_.hold();
  loop.submit(track, chunk(1));
  pipeline_.wait_for_runs(1);
  auto removal = std::async(std::launch::async, [&] { loop.remove(track); });
  EXPECT_EQ(removal.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  pipeline_.release();
  removal.get();
  loop.submit(track, chunk(2));  // after the end: nothing
  loop.stop();
  EXPECT_EQ(pipeline_.live_streams(), 0);
  EXPECT_EQ(pipeline_.batch_sizes().size(), 1u);
}

TEST_F(Compute, MissedBudgetsCostStepsThenFramesThenTheSizeOfThePicture) {
  ComputeLoop loop(&pipeline_);
  // Held for longer than the budget, each time: as on a device that is too slow.
  const auto track = loop.add(listener_, counters_, restyle(4), Slo{100, 20});
  int number = 0;
  const auto smaller = [&] {
    const auto seen = pipeline_.smaller_seen();
    return !seen.empty() && seen.back();
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!smaller() && std::chrono::steady_clock::now() < end) {
    pipeline_.hold();
    loop.submit(track, chunk(static_cast<uint8_t>(++number)));
    pipeline_.wait_for_runs(static_cast<size_t>(number));
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    pipeline_.release();
    while (counters_.chunks_waited + counters_.chunks_slow < static_cast<uint64_t>(number)) {
      std::this_thread::yield();
    }
  }
  loop.remove(track);
  const auto levels = listener_.levels();
  ASSERT_EQ(levels.size(), 5u);
  EXPECT_EQ(levels[0].to.steps, 2);
  EXPECT_EQ(levels[0].cause, LevelCause::kSlowDevice);
  EXPECT_EQ(levels[1].to.steps, 1);
  EXPECT_EQ(levels[2].to.kind, LevelKind::kLowerRate);
  EXPECT_EQ(levels[3].to.kind, LevelKind::kLowerRate);
  EXPECT_EQ(levels[4].to.kind, LevelKind::kSmallerPicture);
  EXPECT_TRUE(levels[4].down);
  EXPECT_TRUE(smaller());
  const auto steps = pipeline_.steps_seen();
  EXPECT_EQ(steps.front(), 4);
  EXPECT_EQ(steps.back(), 1);
  EXPECT_GE(counters_.chunks_slow + counters_.chunks_waited, 3 * 6u);
  EXPECT_EQ(listener_.chunks().front().revision, 0u);
  EXPECT_EQ(listener_.chunks().back().revision, 0u) << "the settings asked for are the same";
}

TEST_F(Compute, StoppingTheLoopEndsTheStreamsOfTracksThatStay) {
  std::shared_ptr<ComputeLoop::Track> track;
  {
    ComputeLoop loop(&pipeline_);
    track = loop.add(listener_, counters_, restyle());
    loop.submit(track, chunk(1));
    ASSERT_TRUE(listener_.wait(1));
    EXPECT_EQ(pipeline_.live_streams(), 1);
  }
  EXPECT_EQ(pipeline_.live_streams(), 0);
}

}  // namespace
}  // namespace driftless
