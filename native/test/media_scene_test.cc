#include <gtest/gtest.h>

#include <cmath>

#include "media/ffmpeg_support.h"
#include "media/model_track.h"
#include "media/scene.h"
#include "media/scene_feed.h"
#include "media_test_pipeline.h"

namespace driftless {
namespace {

constexpr int kWidth = 64, kHeight = 36;

std::vector<uint8_t> drawn(SceneKind kind, uint64_t seed, double seconds) {
  SceneRenderer renderer(kind, seed, kWidth, kHeight);
  std::vector<uint8_t> rgb(kWidth * kHeight * 3);
  renderer.render(seconds, rgb.data());
  return rgb;
}

double difference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum / static_cast<double>(a.size());
}

TEST(Scenes, ArePicturesThatMoveSmoothlyAndDifferBySeed) {
  for (int k = 0; k < kSceneKinds; ++k) {
    const auto kind = static_cast<SceneKind>(k);
    SCOPED_TRACE(scene_name(kind));
    const auto picture = drawn(kind, 1, 10);
    EXPECT_EQ(picture, drawn(kind, 1, 10)) << "not a function of its arguments";
    double mean = 0, spread = 0;
    for (const uint8_t value : picture) mean += value / static_cast<double>(picture.size());
    for (const uint8_t value : picture) spread += std::abs(value - mean);
    EXPECT_GT(spread / static_cast<double>(picture.size()), 12) << "hardly a picture";
    EXPECT_GT(difference(picture, drawn(kind, 2, 10)), 2) << "each seed shows the same";
    const double step = difference(picture, drawn(kind, 1, 10.125));
    EXPECT_GT(step, 0) << "does not move";
    EXPECT_LT(step, 9) << "jumps";
    for (const double seconds : {0.0, 86400.0}) drawn(kind, 1, seconds);
  }
}

TEST(Scenes, AreNamedByAPromptsWords) {
  const std::pair<const char*, SceneKind> prompts[] = {
      {"beach at sunset", SceneKind::kBeach},
      {"A watercolour of a FOREST, misty", SceneKind::kForest},
      {"city at night", SceneKind::kCity},
      {"snowy mountains", SceneKind::kMountains},
      {"cosy library", SceneKind::kLibrary},
      {"in outer space", SceneKind::kSpace},
      {"northern lights over ice", SceneKind::kAurora},
      {"my office", SceneKind::kOffice},
      {"garden in spring", SceneKind::kGarden},
      {"underwater coral reef", SceneKind::kUnderwater},
      {"abstract gradient", SceneKind::kGradient},
      {"quarterly results", SceneKind::kGradient},
      {"", SceneKind::kGradient},
  };
  for (const auto& [prompt, kind] : prompts) {
    EXPECT_STREQ(scene_name(kind), scene_name(scene_for_prompt(prompt))) << prompt;
  }
  for (int k = 0; k < kSceneKinds; ++k) {
    const auto kind = static_cast<SceneKind>(k);
    EXPECT_EQ(kind, parse_scene(scene_name(kind)));
  }
  EXPECT_FALSE(parse_scene("living room").has_value());
}

class SceneFeedTest : public ::testing::Test {
 protected:
  SceneFeedTest() {
    info_.width = kWidth;
    info_.height = kHeight;
    info_.frames_per_chunk = 4;
    info_.fps = 16;
    feed_ = std::make_unique<SceneFeed>(info_, inbox_);
  }
  /// A camera's 30 frames a second for so long; returns the last picture's middle brightness.
  int run(double ms) {
    int luma = 0;
    for (const double end = now_ + ms; now_ < end; now_ += 1000.0 / 30) {
      if (auto chunk = feed_->advance(now_)) {
        EXPECT_EQ(PictureSource::kScene, chunk->source);
        EXPECT_TRUE(chunk->frames.empty());
        EXPECT_EQ(4u * kWidth * kHeight * 3, chunk->rgb.size());
        ++chunks_;
        if (answer_) {
          GeneratedChunk painted;
          painted.source = PictureSource::kScene;
          painted.revision = revision_;
          painted.rgb.assign(chunk->rgb.size(), paint_);
          inbox_.push(std::move(painted));
        }
      }
      const AVFrame& frame = feed_->picture(now_);
      const int next = frame.data[0][kHeight / 2 * frame.linesize[0] + kWidth / 2];
      if (luma > 0) steepest_ = std::max(steepest_, std::abs(next - luma));
      luma = next;
    }
    return luma;
  }

  ModelInfo info_;
  SceneInbox inbox_;
  std::unique_ptr<SceneFeed> feed_;
  double now_ = 1e12;
  int chunks_ = 0, steepest_ = 0;
  bool answer_ = true;
  uint8_t paint_ = 255;
  uint64_t revision_ = 0;
};

TEST_F(SceneFeedTest, ShowsDrawnPicturesUntilRepaintedOnesFadeIn) {
  feed_->set(SceneKind::kSpace, 1, true, revision_);
  EXPECT_LT(run(100), 150) << "nothing is painted yet";
  EXPECT_GT(run(2500), 230) << "what the model painted does not show";
  EXPECT_NEAR(8.0 * 2.6 / 4, chunks_, 1) << "the scene's rate";
  answer_ = false;
  EXPECT_LT(run(4000), 150) << "a model that fell silent still shows";
  EXPECT_LT(steepest_, 40) << "a cut instead of a fade";
}

TEST_F(SceneFeedTest, SendsNothingToTheModelWhereNothingIsToBeRepainted) {
  feed_->set(SceneKind::kSpace, 1, false, revision_);
  run(1500);
  EXPECT_EQ(0, chunks_);
}

TEST_F(SceneFeedTest, ShowsNothingThatWasPaintedByFormerSettings) {
  feed_->set(SceneKind::kSpace, 1, true, 0);
  run(2500);
  feed_->set(SceneKind::kSpace, 2, true, 1);  // the model goes on answering with revision 0
  EXPECT_LT(run(4000), 150);
  revision_ = 1;
  EXPECT_GT(run(2500), 230);
}

TEST_F(SceneFeedTest, SurvivesAClockThatJumps) {
  feed_->set(SceneKind::kAurora, 1, true, revision_);
  run(1000);
  for (const double jump : {-3.6e6, 7.2e6}) {
    now_ += jump;
    chunks_ = 0;
    run(2000);
    EXPECT_GE(chunks_, 3) << "the scene stands still after a jump of " << jump;
  }
}

TEST(ModelTrackScenes, ASceneIsNeverPaintedByAStreamThatHasSeenARoom) {
  InvertingPipeline pipeline(kWidth, kHeight);
  ModelTrack track(&pipeline);
  Transform transform;
  transform.settings.steps = 2;  // one chunk stays inside
  track.apply(transform, 1);
  Chunk room;
  room.rgb.assign(4u * kWidth * kHeight * 3, 10);
  room.frames.resize(4);
  ChunkPixels out;
  size_t lost = 0;
  Pipeline::Job job = track.begin(room, out, lost);
  pipeline.run(&job, 1);
  EXPECT_FALSE(track.finish(job.result, out, lost).has_value());

  Chunk scene;
  scene.source = PictureSource::kScene;
  scene.rgb.assign(room.rgb.size(), 200);
  transform.mode = TransformMode::kBackground;
  track.apply(transform, 2);
  job = track.begin(scene, out, lost);
  EXPECT_EQ(4u, lost) << "the room's frames";
  pipeline.run(&job, 1);
  EXPECT_FALSE(track.finish(job.result, out, lost).has_value()) << "the room came out as a scene";
  job = track.begin(scene, out, lost);
  pipeline.run(&job, 1);
  const auto generated = track.finish(job.result, out, lost);
  ASSERT_TRUE(generated.has_value());
  EXPECT_EQ(PictureSource::kScene, generated->source);
  EXPECT_EQ(55, generated->rgb[0]);
}

}  // namespace
}  // namespace driftless
