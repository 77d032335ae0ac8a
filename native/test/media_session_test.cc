#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "core/error.h"
#include "media/decoder.h"
#include "media_session_test_support.h"
#include "media_test_pictures.h"
#include "media_test_pipeline.h"
#include "segmentation_files.h"

namespace driftless {
namespace {

OutgoingFrame outgoing(bool key_frame, double capture_ms = 0) {
  OutgoingFrame frame;
  frame.picture.key_frame = key_frame;
  frame.picture.capture_time_ms = capture_ms;
  return frame;
}

TEST(FrameOutbox, AFullBoxDropsUpToTheNextKeyFrame) {
  FrameOutbox box(4);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(box.push(outgoing(i == 0)).need_key_frame);
  const auto full = box.push(outgoing(false));
  EXPECT_EQ(full.dropped_full, 5u);
  EXPECT_TRUE(full.need_key_frame);
  const auto stale = box.push(outgoing(false));
  EXPECT_EQ(stale.dropped_stale, 1u);
  EXPECT_TRUE(stale.need_key_frame);
  EXPECT_EQ(box.size(), 0u);
  EXPECT_FALSE(box.push(outgoing(true, 9)).need_key_frame);
  EXPECT_FALSE(box.push(outgoing(false)).need_key_frame);
  EXPECT_EQ(box.pop()->picture.capture_time_ms, 9);
  EXPECT_EQ(box.size(), 1u);
}

TEST(FrameOutbox, AKeyFrameTakesThePlaceOfAFullBox) {
  FrameOutbox box(3);
  for (int i = 0; i < 3; ++i) box.push(outgoing(i == 0));
  const auto result = box.push(outgoing(true, 9));
  EXPECT_EQ(result.dropped_full, 3u);
  EXPECT_FALSE(result.need_key_frame);
  EXPECT_EQ(box.pop()->picture.capture_time_ms, 9);
  EXPECT_FALSE(box.pop().has_value());
}

/// An engine around an InvertingPipeline at 50 fps.
class EngineSession : public SessionHarness, public ::testing::TestWithParam<VideoCodec> {
 protected:
  void SetUp() override {
    auto pipeline = std::make_unique<InvertingPipeline>();
    pipeline_ = pipeline.get();
    engine_ = std::make_unique<MediaEngine>(std::move(pipeline), 2);
  }
  void TearDown() override { close(); }

  SessionOptions options() const {
    SessionOptions options;
    options.input_codec = options.output_codec = GetParam();
    options.bitrate_bps = 1'000'000;
    return options;
  }

  InvertingPipeline* pipeline_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Media, EngineSession,
                         ::testing::Values(VideoCodec::kVp8, VideoCodec::kH264),
                         [](const auto& info) { return codec_name(info.param); });

TEST_P(EngineSession, RepaintedFramesComeOutWithTheirCaptureTimes) {
  open(options());
  const auto clip = encode_clip(GetParam(), 128, 64, 8);
  for (size_t i = 0; i < 4; ++i) push(clip[i]);
  ASSERT_TRUE(collect(4, 2));
  for (size_t i = 4; i < 8; ++i) push(clip[i]);
  ASSERT_TRUE(collect(8));
  Decoder source(GetParam()), result(GetParam());
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(frames_[i].picture.capture_time_ms, clip[i].capture_time_ms);
    const auto in = source.decode(clip[i].data.data(), clip[i].data.size());
    const auto& data = frames_[i].picture.data;
    const auto out = result.decode(data.data(), data.size());
    ASSERT_EQ(out.status, DecodeStatus::kFrame);
    // Inverted colours: chroma mirrored around grey.
    EXPECT_NEAR(out.frame->data[1][0], 255 - in.frame->data[1][0], 12);
    EXPECT_NEAR(out.frame->data[2][0], 255 - in.frame->data[2][0], 12);
    EXPECT_GT(frames_[i].timing.encode_ms, 0);
  }
  EXPECT_TRUE(frames_[0].picture.key_frame);
  EXPECT_EQ(events_[0].type, SessionEvent::Type::kInputSize);
  EXPECT_EQ(events_[0].width, 128);
  EXPECT_EQ(events_[1].type, SessionEvent::Type::kApplied);
  EXPECT_EQ(events_[1].capture_ms, clip[0].capture_time_ms);
}

TEST_P(EngineSession, StageTimersAreThoseOfTheFramesThatCameOut) {
  auto pipeline = std::make_unique<InvertingPipeline>();
  pipeline_ = pipeline.get();
  const std::string file = segmentation_file("general");
  const std::string dir = file.substr(0, file.rfind('/'));
  engine_ = std::make_unique<MediaEngine>(std::move(pipeline), 1, load_matte_models(dir, "cpu"));
  SessionOptions with = options();
  with.transform.mode = TransformMode::kBackground;
  with.transform.settings.prompt = "forest";
  open(with);
  // The model takes far longer for the scene than a picture takes to be composed before it.
  pipeline_->hold();
  auto clip = encode_clip(GetParam(), 128, 64, 40);
  for (size_t i = 0; i < clip.size(); ++i) {
    clip[i].capture_time_ms = 1000 + 40.0 * static_cast<double>(i);
    if (i == 20) {
      pipeline_->wait_for_runs(1);
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
      pipeline_->release();
    }
    push(clip[i]);
    ASSERT_TRUE(collect(i + 1));
  }
  pipeline_->wait_for_runs(2);  // the first has been delivered
  StageTimer compute, encode;
  for (const OutgoingFrame& frame : frames_) {
    compute.add(frame.timing.compute_ms);
    encode.add(frame.timing.encode_ms);
  }
  EXPECT_GT(compute.mean_ms(), 0);
  EXPECT_EQ(session_->counters().compute.mean_ms(), compute.mean_ms());
  EXPECT_EQ(session_->counters().compute.last_ms(), compute.last_ms());
  EXPECT_EQ(session_->counters().encode.mean_ms(), encode.mean_ms());
}

TEST_P(EngineSession, AppliedNamesTheFirstFrameWithTheNewSettings) {
  open(options());
  const auto clip = encode_clip(GetParam(), 128, 64, 12);
  for (size_t i = 0; i < 4; ++i) push(clip[i]);
  ASSERT_TRUE(collect(4, 2));
  for (size_t i = 4; i < 8; ++i) push(clip[i]);
  ASSERT_TRUE(collect(8));
  Transform changed;
  changed.settings.prompt = "another";
  EXPECT_EQ(session_->set_transform(changed), 1u);
  for (size_t i = 8; i < 12; ++i) push(clip[i]);
  ASSERT_TRUE(collect(12, 3));
  EXPECT_EQ(events_[2].type, SessionEvent::Type::kApplied);
  EXPECT_EQ(events_[2].revision, 1u);
  EXPECT_EQ(events_[2].capture_ms, clip[8].capture_time_ms);
}

TEST_P(EngineSession, ASlowPromptIsAppliedTwiceWithSeveralStepsInFlight) {
  SessionOptions slow = options();
  slow.transform.settings.steps = 2;
  open(slow);
  const auto clip = encode_clip(GetParam(), 128, 64, 24);
  for (size_t i = 0; i < 8; ++i) {
    push(clip[i]);
    while (i == 3 && session_->counters().chunks == 0) std::this_thread::yield();
  }
  ASSERT_TRUE(collect(4, 2));
  slow.transform.settings.prompt = "slow";
  EXPECT_EQ(session_->set_transform(slow.transform), 1u);
  for (size_t i = 8; i < 24; ++i) {
    push(clip[i]);
    // A chunk at a time, so that none replaces another.
    if (i % 4 == 3) {
      ASSERT_TRUE(collect(i - 3, 2));
    }
  }
  ASSERT_TRUE(collect(20, 4));
  for (size_t i : {2u, 3u}) {
    EXPECT_EQ(events_[i].type, SessionEvent::Type::kApplied);
    EXPECT_EQ(events_[i].revision, 1u);
    EXPECT_EQ(events_[i].complete, i == 3);
    // The chunk after the change, which comes out one chunk later, and the one that completes it.
    EXPECT_EQ(events_[i].capture_ms, clip[i == 2 ? 8 : 12].capture_time_ms);
  }
}

TEST_P(EngineSession, AKeyFrameRequestIsHonoured) {
  open(options());
  const auto clip = encode_clip(GetParam(), 128, 64, 8);
  for (size_t i = 0; i < 4; ++i) push(clip[i]);
  ASSERT_TRUE(collect(4));
  session_->request_key_frame();
  for (size_t i = 4; i < 8; ++i) push(clip[i]);
  ASSERT_TRUE(collect(8));
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(frames_[i].picture.key_frame, i == 0 || i == 4) << i;
}

TEST_P(EngineSession, AnOwnerWhoDoesNotTakeFramesGetsAKeyFrameNext) {
  open(options());
  // 10 fps: fewer than the model takes, so nothing is dropped before the box.
  const auto clip = encode_clip(GetParam(), 128, 64, 40);
  size_t pushed = 0;
  const auto& counters = session_->counters();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (counters.drop_callback_full == 0 && pushed < 36) {
    for (size_t i = 0; i < 4; ++i) push(clip[pushed++]);
    while (session_->queues().generated > 0 || counters.encode.last_ms() == 0 ||
           counters.chunks < pushed / 4) {
      ASSERT_LT(std::chrono::steady_clock::now(), end);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  EXPECT_GT(counters.drop_callback_full, 0u);
  EXPECT_LE(session_->queues().callbacks, MediaSession::kMaxWaitingFrames);
  // What can be taken now can be decoded from its start.
  for (size_t i = 0; i < 4; ++i) push(clip[pushed++]);
  ASSERT_TRUE(collect(1));
  EXPECT_TRUE(frames_[0].picture.key_frame);
  Decoder decoder(GetParam());
  for (const OutgoingFrame& frame : frames_) {
    EXPECT_EQ(decoder.decode(frame.picture.data.data(), frame.picture.data.size()).status,
              DecodeStatus::kFrame);
  }
}

TEST_P(EngineSession, AStalledModelKeepsAllQueuesBounded) {
  open(options());
  pipeline_->hold();
  const auto clip = encode_clip(GetParam(), 128, 64, 200);
  for (const EncodedPicture& picture : clip) {
    push(picture);
    const SessionQueues queues = session_->queues();
    EXPECT_LE(queues.input, InputStage::kMaxWaitingFrames);
    EXPECT_LE(queues.compute, 4u);
    EXPECT_LE(queues.generated, 4u);
    if (queues.input > 8) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const auto& counters = session_->counters();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (session_->queues().input > 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_GT(counters.drop_chunk_replaced, 40u);
  pipeline_->release();
  ASSERT_TRUE(collect(4));
}

TEST_P(EngineSession, LostInputAsksForAKeyFrame) {
  open(options());
  const auto clip = encode_clip(GetParam(), 128, 64, 3);
  push(clip[1]);
  ASSERT_TRUE(collect(0, 1));
  EXPECT_EQ(events_[0].type, SessionEvent::Type::kNeedKeyFrame);
  // The next ones within half a second ask no further.
  push(clip[2]);
  push(clip[2]);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (session_->counters().drop_no_key_frame < 3) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
    std::this_thread::yield();
  }
}

TEST_P(EngineSession, SlowAndAbsentInputAreFine) {
  open(options());
  auto clip = encode_clip(GetParam(), 128, 64, 8);
  for (size_t i = 0; i < clip.size(); ++i) {
    clip[i].capture_time_ms = 1000.0 * static_cast<double>(i);  // 1 fps
    push(clip[i]);
  }
  // Frames this far apart wait for their time; those that are left end with the session.
  ASSERT_TRUE(collect(2));
  session_->stop();
  open(options());
  session_->stop();  // 0 frames
}

TEST_P(EngineSession, StoppingAmidWorkIsCleanAndFinal) {
  for (int round = 0; round < 10; ++round) {
    open(options());
    for (const EncodedPicture& picture : encode_clip(GetParam(), 128, 64, 6)) push(picture);
    if (round % 2) std::this_thread::sleep_for(std::chrono::milliseconds(round));
    session_->stop();
    session_->stop();
    std::lock_guard<std::mutex> lock(mutex_);
    wakes_ = 0;
  }
  session_.reset();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(wakes_, 0);
}

TEST_P(EngineSession, TheEngineLimitsItsSessionsAndEndsThem) {
  open(options());
  const auto second = engine_->create_session(options(), [] {});
  EXPECT_THROW(engine_->create_session(options(), [] {}), Error);
  session_.reset();
  open(options());
  engine_->stop();
  EXPECT_THROW(engine_->create_session(options(), [] {}), Error);
  push(encode_clip(GetParam(), 128, 64, 1)[0]);  // after the end: ignored
  engine_.reset();                               // before its sessions
  session_.reset();
}

}  // namespace
}  // namespace driftless
