// A hidden room, and an engine too busy to make new pictures: what the model is given, what leaves
// the session, and what is remembered. The room is a chroma that nothing else has.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "media/decoder.h"
#include "media/overload_blur.h"
#include "media_session_test_support.h"
#include "media_test_pictures.h"
#include "media_test_pipeline.h"
#include "segmentation_files.h"

namespace driftless {
namespace {

using Clock = std::chrono::steady_clock;

/// Keeps the model's input, and takes its time.
class WatchedPipeline : public InvertingPipeline {
 public:
  void run(Job* jobs, size_t count) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(run_ms));
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (size_t j = 0; j < count; ++j) {
        inputs_.emplace_back(
            opened_.load(), std::vector<uint8_t>(jobs[j].rgb_in, jobs[j].rgb_in + 3 * 64 * 32 * 4));
      }
    }
    InvertingPipeline::run(jobs, count);
  }
  std::unique_ptr<StreamSession> open(const TransformSettings& settings,
                                      const PictureSize& size) override {
    ++opened_;
    return InvertingPipeline::open(settings, size);
  }
  /// Stream, counted from 1, and pixels of each chunk of a session.
  std::vector<std::pair<int, std::vector<uint8_t>>> inputs() {
    std::lock_guard<std::mutex> lock(mutex_);
    return inputs_;
  }
  std::atomic<int> run_ms{0};

 private:
  std::atomic<int> opened_{0};
  std::mutex mutex_;
  std::vector<std::pair<int, std::vector<uint8_t>>> inputs_;
};

constexpr FlatColour kPlain = BackgroundChoice::kPlain;

bool is_plain(const std::vector<uint8_t>& rgb) {
  const uint8_t colour[3] = {kPlain.red, kPlain.green, kPlain.blue};
  for (size_t i = 0; i < rgb.size(); ++i) {
    if (std::abs(rgb[i] - colour[i % 3]) > 4) return false;
  }
  return true;
}

class HiddenRoom : public SessionHarness, public ::testing::Test {
 protected:
  void SetUp() override {
    auto pipeline = std::make_unique<WatchedPipeline>();
    pipeline_ = pipeline.get();
    const std::string file = segmentation_file("general");
    const std::string dir = file.substr(0, file.rfind('/'));
    engine_ = std::make_unique<MediaEngine>(std::move(pipeline), 1, load_matte_models(dir, "cpu"));
  }
  void TearDown() override { close(); }

  static Transform restyle(bool hide) {
    Transform transform;
    transform.hide_room = hide;
    return transform;
  }
  static SessionOptions options(const Transform& transform) {
    SessionOptions options;
    options.bitrate_bps = 1'000'000;
    options.transform = transform;
    return options;
  }
  /// A camera in real time, at the model's rate.
  void film(size_t frames) {
    for (size_t i = 0; i < frames; ++i, ++filmed_) {
      EncodedPicture picture = clip_[filmed_ % clip_.size()];
      picture.capture_time_ms = 1000 + 20.0 * static_cast<double>(filmed_);
      push(picture);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  /// What waits now.
  void take() {
    while (auto event = session_->take_event()) events_.push_back(std::move(*event));
    while (auto frame = session_->take_frame()) frames_.push_back(std::move(*frame));
  }
  /// Until there are so many frames, at most 20 s.
  bool film_until(size_t frames) {
    const auto end = Clock::now() + std::chrono::seconds(20);
    while (frames_.size() < frames && Clock::now() < end) {
      film(4);
      take();
    }
    return frames_.size() >= frames;
  }

  WatchedPipeline* pipeline_ = nullptr;
  const std::vector<EncodedPicture> clip_ = encode_clip(VideoCodec::kVp8, 128, 64, 40);
  size_t filmed_ = 0;
};

TEST_F(HiddenRoom, IsNothingThatTheModelIsEverGiven) {
  open(options(restyle(true)));
  ASSERT_TRUE(film_until(8));
  ASSERT_FALSE(pipeline_->inputs().empty());
  for (const auto& [stream, rgb] : pipeline_->inputs()) EXPECT_TRUE(is_plain(rgb));
  for (const OutgoingFrame& frame : frames_) EXPECT_FALSE(frame.shows_room);
}

TEST_F(HiddenRoom, IsNotRememberedByTheStreamThatPaintsWithoutIt) {
  open(options(restyle(false)));
  ASSERT_TRUE(film_until(4));
  session_->set_transform(restyle(true));
  ASSERT_TRUE(film_until(frames_.size() + 8));
  int with_room = 0;
  size_t plain = 0;
  for (const auto& [stream, rgb] : pipeline_->inputs()) {
    if (is_plain(rgb)) {
      EXPECT_NE(stream, with_room);
      ++plain;
    } else {
      EXPECT_EQ(0u, plain) << "the room came back";
      with_room = stream;
    }
  }
  EXPECT_EQ(1, with_room);
  EXPECT_GT(plain, 0u);
}

TEST_F(HiddenRoom, LeavesTheSessionAtOnceWithChunksAtEveryStage) {
  open(options(restyle(false)));
  ASSERT_TRUE(film_until(4));
  size_t shown = 0;
  for (int turn = 0; turn < 12; ++turn) {
    pipeline_->run_ms = turn % 3 * 15;
    session_->set_transform(restyle(false));
    const auto end = Clock::now() + std::chrono::seconds(20);
    // What is left of the last turn first.
    do {
      film(4);
      take();
    } while ((frames_.empty() || !frames_.back().shows_room) && Clock::now() < end);
    ASSERT_TRUE(frames_.back().shows_room);
    film(9 + static_cast<size_t>(turn));
    // One waits, one is in the model, one is encoded, some are not taken yet.
    Transform hides = restyle(turn % 4 != 3);
    if (turn % 4 == 3) hides.mode = TransformMode::kBackground;
    const uint64_t revision = session_->set_transform(hides);
    const size_t before = frames_.size();
    ASSERT_TRUE(film_until(before + 4)) << turn;
    ASSERT_FALSE(frames_[before].shows_room);
    EXPECT_TRUE(frames_[before].picture.key_frame) << "it builds on a picture of the room";
    for (size_t i = before; i < frames_.size(); ++i) {
      EXPECT_FALSE(frames_[i].shows_room) << turn << ": " << i - before;
    }
    shown += frames_.size() - before;
    const bool said = std::any_of(events_.begin(), events_.end(), [&](const SessionEvent& event) {
      return event.type == SessionEvent::Type::kApplied && event.revision == revision &&
             event.capture_ms == frames_[before].picture.capture_time_ms && event.complete;
    });
    EXPECT_TRUE(said) << "with the first frame without the room";
  }
  EXPECT_GT(shown, 40u);
}

/// How far the brightest and the darkest pixel of the last picture are apart.
double last_spread(const std::vector<OutgoingFrame>& frames) {
  Decoder decoder(VideoCodec::kVp8);
  DecodeResult last;
  for (const OutgoingFrame& frame : frames) {
    last = decoder.decode(frame.picture.data.data(), frame.picture.data.size());
  }
  if (!last.frame) return -1;
  int least = 255, most = 0;
  for (int y = 0; y < last.frame->height; ++y) {
    const uint8_t* line = last.frame->data[0] + y * last.frame->linesize[0];
    least = std::min<int>(least, *std::min_element(line, line + last.frame->width));
    most = std::max<int>(most, *std::max_element(line, line + last.frame->width));
  }
  return most - least;
}

TEST_F(HiddenRoom, IsNotInThePicturesOfAnOverloadEither) {
  pipeline_->run_ms = 900;
  Transform transform = restyle(true);
  transform.on_overload = OverloadPicture::kBlur;
  open(options(transform));
  const auto end = Clock::now() + std::chrono::seconds(60);
  const auto& counters = session_->counters();
  while (counters.frames_blurred < 4 && Clock::now() < end) {
    film(8);
    take();
  }
  ASSERT_GE(counters.frames_blurred, 4u);
  EXPECT_TRUE(std::all_of(frames_.begin(), frames_.end(),
                          [](const OutgoingFrame& frame) { return !frame.shows_room; }));

  // The same without hiding: the camera, and nothing to be read in it. Then not even that.
  transform.hide_room = false;
  session_->set_transform(transform);
  const size_t hidden = frames_.size();
  const auto last_blurred = [&] {
    return frames_.size() > hidden && frames_.back().blurred && frames_.back().shows_room;
  };
  while (!last_blurred() && Clock::now() < end) {
    film(8);
    take();
  }
  ASSERT_TRUE(last_blurred());
  const double spread = last_spread(frames_);
  EXPECT_GE(spread, 0);
  EXPECT_LT(spread, 45) << "the camera's own waves are 140 high";
  const uint64_t dropped = counters.drop_fallback;
  transform.on_overload = OverloadPicture::kHold;
  session_->set_transform(transform);
  while (counters.drop_fallback == dropped && Clock::now() < end) film(8);
  EXPECT_GT(counters.drop_fallback, dropped);
}

TEST(OverloadBlurTest, LeavesNothingToReadAndNoContoursOfTheCamera) {
  ModelInfo model;
  model.width = 256;
  model.height = 144;
  OverloadBlur blur(model);
  Chunk chunk;
  chunk.source = PictureSource::kCutOut;
  chunk.revision = 7;
  const size_t bytes = static_cast<size_t>(256) * 144 * 3;
  for (size_t i = 0; i < 2 * bytes; ++i) {
    const size_t pixel = i % bytes / 3, x = pixel % 256, y = pixel / 256;
    chunk.rgb.push_back((x / 8 + y / 8) % 2 ? 255 : 0);  // letters would be of that size
  }
  chunk.frames.resize(2);
  for (FrameMeta& meta : chunk.frames) {
    meta.camera = std::shared_ptr<const AVFrame>(make_yuv_frame(640, 480));
    meta.output = {640, 480};
  }
  const GeneratedChunk out = blur.blurred(std::move(chunk));
  EXPECT_TRUE(out.blurred);
  EXPECT_EQ(PictureSource::kCutOut, out.source);
  EXPECT_EQ(7u, out.revision);
  ASSERT_EQ(2 * bytes, out.rgb.size());
  for (const uint8_t value : out.rgb) ASSERT_NEAR(127.5, value, 12);
  for (const FrameMeta& meta : out.frames) {
    EXPECT_EQ(nullptr, meta.camera);
    EXPECT_EQ(640, meta.output.width) << "the pictures keep their size";
  }
}

TEST(FrameOutbox, ForgetsThePicturesOfARoomAndWhatBuildsOnThem) {
  const auto frame = [](bool key_frame, bool shows_room, double capture_ms) {
    OutgoingFrame made;
    made.picture.key_frame = key_frame;
    made.picture.capture_time_ms = capture_ms;
    made.shows_room = shows_room;
    return made;
  };
  FrameOutbox box(8);
  box.push(frame(true, false, 1));
  box.push(frame(false, true, 2));
  box.push(frame(false, true, 3));
  EXPECT_EQ(2u, box.drop_rooms());
  EXPECT_EQ(1u, box.size());
  EXPECT_TRUE(box.push(frame(false, true, 4)).need_key_frame);
  EXPECT_FALSE(box.push(frame(true, false, 5)).need_key_frame);
  EXPECT_EQ(0u, box.drop_rooms());
  EXPECT_EQ(1, box.pop()->picture.capture_time_ms);
  EXPECT_EQ(5, box.pop()->picture.capture_time_ms);
  box.skip();
  EXPECT_TRUE(box.push(frame(false, false, 6)).need_key_frame);
}

}  // namespace
}  // namespace driftless
