// Cameras that change their size in the middle of a session: a phone that is turned, a browser that
// begins small.

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "media/decoder.h"
#include "media_session_test_support.h"
#include "media_test_listener.h"
#include "media_test_pictures.h"
#include "media_test_pipeline.h"
#include "stream_test_clips.h"

namespace driftless {
namespace {

/// An engine around an InvertingPipeline that paints 64x32 and 32x64.
class TurningSession : public SessionHarness, public ::testing::TestWithParam<VideoCodec> {
 protected:
  void SetUp() override { make_engine(50); }
  void TearDown() override { close(); }

  void make_engine(double fps) {
    auto pipeline = std::make_unique<InvertingPipeline>(64, 32, fps, true);
    pipeline_ = pipeline.get();
    engine_ = std::make_unique<MediaEngine>(std::move(pipeline), 1);
  }
  SessionOptions options() const {
    SessionOptions options;
    options.input_codec = options.output_codec = GetParam();
    options.bitrate_bps = 1'000'000;
    return options;
  }
  /// So many frames, a chunk at a time, so that none replaces another.
  void play(int width, int height, int frames) {
    const auto clip = encode_clip(GetParam(), width, height, frames, next_ms_);
    next_ms_ += 33.0 * frames;
    for (size_t i = 0; i < clip.size(); ++i) {
      push(clip[i]);
      ++gathered_;
      if (gathered_ % 4 == 0) {
        expected_ += 4;
        ASSERT_TRUE(collect(expected_)) << width << "x" << height << ", frame " << i;
      }
    }
  }
  /// Frames of an unfinished chunk that another shape ends.
  void forget_unfinished() {
    for (int ms = 0; gathered_ % 4 != 0 && session_->queues().input > 0 && ms < 20'000; ms += 5) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    gathered_ = 0;
  }
  size_t key_frames() const {
    size_t found = 0;
    for (const OutgoingFrame& frame : frames_) found += frame.picture.key_frame ? 1 : 0;
    return found;
  }
  /// Every frame can be decoded; returns their sizes, each as often as it changes.
  std::vector<PictureSize> shown_sizes() {
    std::vector<PictureSize> sizes;
    Decoder decoder(GetParam());
    for (const OutgoingFrame& frame : frames_) {
      const auto out = decoder.decode(frame.picture.data.data(), frame.picture.data.size());
      EXPECT_EQ(out.status, DecodeStatus::kFrame) << out.message;
      if (out.status != DecodeStatus::kFrame) continue;
      const PictureSize size{out.frame->width, out.frame->height};
      if (sizes.empty() || sizes.back() != size) sizes.push_back(size);
      // Inverted colours, whatever the size: nothing of a chunk of another size was mixed in.
      EXPECT_NEAR(out.frame->data[1][0], 255 - 100, 12);
      EXPECT_NEAR(out.frame->data[2][0], 255 - 160, 12);
    }
    return sizes;
  }

  InvertingPipeline* pipeline_ = nullptr;
  double next_ms_ = 1000;
  size_t gathered_ = 0, expected_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Media, TurningSession,
                         ::testing::Values(VideoCodec::kVp8, VideoCodec::kH264),
                         [](const auto& info) { return codec_name(info.param); });

TEST_P(TurningSession, ATurnedPhoneIsPaintedUprightWithinAChunk) {
  open(options());
  play(128, 64, 8);
  play(64, 128, 8);
  EXPECT_EQ(shown_sizes(), (std::vector<PictureSize>{{128, 64}, {64, 128}}));
  EXPECT_EQ(pipeline_->opened(), 2) << "the stream's memory is of another shape";
  EXPECT_EQ(pipeline_->live_streams(), 1);
  ASSERT_EQ(frames_.size(), 16u);
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(frames_[i].picture.key_frame, i == 0 || i == 8) << i;
  EXPECT_EQ(count(SessionEvent::Type::kError), 0u);
  EXPECT_EQ(session_->counters().compute_errors, 0u);
  std::vector<SessionEvent> sizes;
  for (const SessionEvent& event : events_) {
    if (event.type == SessionEvent::Type::kInputSize) sizes.push_back(event);
  }
  ASSERT_EQ(sizes.size(), 2u);
  EXPECT_EQ(sizes[1].width, 64);
  EXPECT_EQ(sizes[1].height, 128);
  EXPECT_TRUE(sizes[0].painted == (PictureSize{64, 32}));
  EXPECT_TRUE(sizes[1].painted == (PictureSize{32, 64}));
  EXPECT_TRUE(sizes[1].output == (PictureSize{64, 128}));
}

TEST_P(TurningSession, WhatWasGatheredBeforeATurnIsDroppedAndCounted) {
  open(options());
  play(128, 64, 6);
  forget_unfinished();
  play(64, 128, 8);
  EXPECT_EQ(session_->counters().drop_stream_batch, 2u);
  ASSERT_EQ(frames_.size(), 12u);
  EXPECT_EQ(frames_[4].picture.width, 64);
  EXPECT_EQ(frames_[4].picture.height, 128);
}

// With several steps the stream batch ends with the stream.
TEST_P(TurningSession, StepsAndSettingsSurviveATurn) {
  SessionOptions with = options();
  with.transform.settings.steps = 2;
  open(with);
  const auto wide = encode_clip(GetParam(), 128, 64, 8), tall = encode_clip(GetParam(), 64, 128, 8);
  const auto one_by_one = [&](const std::vector<EncodedPicture>& clip, double start_ms,
                              size_t had) {
    for (size_t i = 0; i < clip.size(); ++i) {
      EncodedPicture picture = clip[i];
      picture.capture_time_ms = start_ms + 33.0 * static_cast<double>(i);
      push(picture);
      while (i == 3 && session_->queues().compute + session_->queues().input > 0) {
        std::this_thread::yield();
      }
    }
    ASSERT_TRUE(collect(had + 4));
  };
  one_by_one(wide, 1000, 0);
  EXPECT_EQ(session_->set_transform(with.transform), 1u);
  one_by_one(tall, 2000, 4);
  EXPECT_EQ(session_->counters().drop_stream_batch, 4u);
  EXPECT_EQ(frames_[4].revision, 1u);
  EXPECT_EQ(frames_[4].picture.capture_time_ms, 2000);
  for (const int steps : pipeline_->steps_seen()) EXPECT_EQ(steps, 2);
}

TEST_P(TurningSession, ABrowserThatBeginsSmallGrowsWithTwoKeyFrames) {
  open(options());
  play(40, 20, 8);
  for (int turn = 0; turn < 3; ++turn) {
    play(80, 40, 8);
    play(160, 80, 8);
    play(320, 160, 8);
    play(106, 54, 8);  // rounded to whole blocks
  }
  EXPECT_EQ(shown_sizes(), (std::vector<PictureSize>{{64, 32}, {80, 40}, {160, 80}}));
  EXPECT_EQ(key_frames(), 3u);
  EXPECT_EQ(pipeline_->opened(), 1) << "one shape, one stream";
  EXPECT_EQ(session_->counters().drop_stream_batch, 0u);
}

TEST_P(TurningSession, OddSizesAndExtremeOnesAreShownWhole) {
  open(options());
  for (const PictureSize& camera :
       {PictureSize{107, 61}, {61, 107}, {853, 479}, {17, 181}, {181, 17}, {33, 33}}) {
    // The H.264 encoder here takes even sizes only.
    const int odd = GetParam() == VideoCodec::kH264 ? 1 : 0;
    play(camera.width + camera.width % 2 * odd, camera.height + camera.height % 2 * odd, 4);
  }
  EXPECT_EQ(shown_sizes(), (std::vector<PictureSize>{
                               {108, 62}, {62, 108}, {160, 90}, {16, 160}, {160, 16}, {64, 64}}));
  EXPECT_EQ(session_->counters().decode_errors, 0u);
  EXPECT_EQ(session_->counters().encode_errors, 0u);
  EXPECT_EQ(session_->counters().compute_errors, 0u);
  EXPECT_EQ(key_frames(), 6u);
}

// Captured once a second, sixty times a second and as it comes, turned now and then.
TEST_P(TurningSession, AnyRateWorks) {
  for (const double interval_ms : {1000.0, 1000.0 / 60, 0.0}) {
    make_engine(16);
    frames_.clear();
    events_.clear();
    open(options());
    double capture_ms = 1000;
    uint32_t random = 7;
    for (int turn = 0; turn < 4; ++turn) {
      const auto clip =
          turn % 2 == 0 ? encode_clip(GetParam(), 96, 48, 40) : encode_clip(GetParam(), 48, 96, 40);
      for (EncodedPicture picture : clip) {
        random = random * 1664525u + 1013904223u;
        capture_ms += interval_ms > 0 ? interval_ms : 5 + (random >> 24) % 200;
        picture.capture_time_ms = capture_ms;
        push(picture);
        while (session_->queues().input > 8) std::this_thread::yield();
        while (auto frame = session_->take_frame()) frames_.push_back(std::move(*frame));
      }
    }
    ASSERT_TRUE(collect(frames_.size() + 1)) << interval_ms;
    const SessionCounters& counters = session_->counters();
    EXPECT_EQ(counters.decode_errors + counters.compute_errors + counters.encode_errors, 0u);
    EXPECT_EQ(counters.drop_no_key_frame, 0u);
    session_.reset();
  }
}

// Streams of two shapes that turn now and then, over two devices, against the same chunks one by
// one: who shares the loop changes nothing.
TEST(TurningLoop, TwoShapesInOneLoopArePaintedAsAlone) {
  Json json = tiny_model_json();
  json["sizes"] = {{64, 32}, {32, 64}};
  json["schedule"]["driftGuard"] = "off";
  const TinyModel model(json);
  const auto chunk_of = [](const PictureSize& size, size_t track, int number) {
    Chunk chunk;
    chunk.size = size;
    // As many bytes either way.
    chunk.rgb = tiny_chunk(static_cast<int>(track), number);
    for (int i = 0; i < 4; ++i) {
      FrameMeta meta;
      meta.capture_ms = 1000.0 * number + i;
      chunk.frames.push_back(meta);
    }
    return chunk;
  };
  const PictureSize wide{64, 32}, tall{32, 64};
  const auto size_of = [&](size_t track, int number) {
    return (track == 0) == (number / 5 % 2 == 0) ? wide : tall;
  };
  constexpr int kChunks = 15;
  for (const char* backend : {"cpu", "cpu,cpu"}) {
    ModelOptions options;
    options.dir = model.dir();
    options.backend = backend;
    const auto pipeline = Pipeline::load(options);
    ComputeLoop loop(pipeline.get());
    constexpr size_t kTracks = 2;
    SessionCounters counters[kTracks];
    Collector listeners[kTracks];
    std::shared_ptr<ComputeLoop::Track> tracks[kTracks];
    Transform transform;
    transform.settings.prompt = "rain";
    for (size_t t = 0; t < kTracks; ++t) {
      tracks[t] = loop.add(listeners[t], counters[t], transform, {16, 10'000});
    }
    for (int number = 0; number < kChunks; ++number) {
      for (size_t t = 0; t < kTracks; ++t) {
        loop.submit(tracks[t], chunk_of(size_of(t, number), t, number));
      }
      for (size_t t = 0; t < kTracks; ++t) {
        ASSERT_TRUE(listeners[t].wait(static_cast<size_t>(number) + 1)) << backend;
      }
    }
    const auto alone = Pipeline::load({model.dir(), "cpu", 1});
    for (size_t t = 0; t < kTracks; ++t) {
      loop.remove(tracks[t]);
      EXPECT_EQ(counters[t].compute_errors, 0u);
      const auto chunks = listeners[t].chunks();
      ASSERT_EQ(chunks.size(), static_cast<size_t>(kChunks));
      std::unique_ptr<StreamSession> session;
      for (int number = 0; number < kChunks; ++number) {
        const PictureSize size = size_of(t, number);
        if (number % 5 == 0) session = alone->open(transform.settings, size);
        const Out expected = run_one(*alone, *session, tiny_chunk(static_cast<int>(t), number));
        const GeneratedChunk& got = chunks[static_cast<size_t>(number)];
        EXPECT_TRUE(got.size == size);
        ASSERT_TRUE(got.rgb == expected.pixels)
            << backend << ": track " << t << ", chunk " << number;
      }
    }
  }
}

}  // namespace
}  // namespace driftless
