// Cameras of any shape: what is painted of them, what viewers get, and that nothing is cut off.

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "emulated_cuda.h"
#include "media/background_canvas.h"
#include "media/ffmpeg_support.h"
#include "media/output_size.h"
#include "media/picture_intake.h"
#include "media/picture_outlet.h"
#include "media/scene_feed.h"
#include "ops/cuda/cuda_video.h"

namespace driftless {
namespace {

ModelInfo nano() {
  ModelInfo model;
  model.width = 256;
  model.height = 144;
  model.frames_per_chunk = 1;
  model.fps = 16;
  for (const PictureSize& size :
       {PictureSize{256, 144}, {224, 160}, {192, 192}, {160, 224}, {144, 256}}) {
    model.sizes.push_back({size, size});
  }
  return model;
}

const PictureSize kCameras[] = {{640, 360},   {360, 640}, {720, 1280}, {480, 640}, {640, 480},
                                {1050, 1500}, {720, 720}, {853, 479},  {960, 320}, {160, 90},
                                {90, 160},    {319, 181}, {1280, 128}};

TEST(OutputSize, IsTheCamerasOwnUpToTheLimitOfItsLongerSide) {
  const struct {
    PictureSize camera, output;
  } cases[] = {
      {{640, 360}, {640, 360}},
      {{1920, 1080}, {640, 360}},
      {{320, 180}, {320, 180}},
      {{426, 240}, {426, 240}},
      {{854, 480}, {640, 360}},
      {{853, 479}, {640, 360}},
      {{360, 640}, {360, 640}},
      {{720, 1280}, {360, 640}},
      {{480, 640}, {480, 640}},
      {{640, 480}, {640, 480}},
      {{1050, 1500}, {448, 640}},
      {{1280, 960}, {640, 480}},
      {{720, 720}, {640, 640}},
      {{960, 320}, {640, 214}},
      {{1280, 800}, {640, 400}},
      // No smaller than what is painted.
      {{160, 90}, {256, 144}},
      {{90, 160}, {144, 256}},
      {{120, 160}, {168, 224}},
      {{64, 64}, {192, 192}},
      {{4096, 16}, {640, 16}},
  };
  for (const auto& c : cases) {
    const PictureSize size = output_size(nano(), c.camera);
    EXPECT_TRUE(size == c.output) << c.camera.width << "x" << c.camera.height << ": " << size.width
                                  << "x" << size.height;
  }
}

TEST(OutputSize, GrowsWithACameraAndTurnsWithItButDoesNotShrink) {
  OutputSize output(nano());
  const struct {
    PictureSize camera, output;
  } steps[] = {
      {{320, 180}, {320, 180}}, {{640, 360}, {640, 360}}, {{1280, 720}, {640, 360}},
      {{426, 240}, {640, 360}}, {{107, 60}, {640, 360}},  {{640, 362}, {640, 360}},
      {{360, 640}, {360, 640}}, {{180, 320}, {360, 640}}, {{320, 180}, {320, 180}},
  };
  for (const auto& step : steps) {
    const PictureSize size = output.of(step.camera);
    EXPECT_TRUE(size == step.output) << step.camera.width << "x" << step.camera.height << ": "
                                     << size.width << "x" << size.height;
  }
}

TEST(BackgroundSize, IsTheCamerasUpTo720p) {
  const struct {
    PictureSize camera, output;
  } cases[] = {{{1280, 720}, {1280, 720}},  {{720, 1280}, {720, 1280}}, {{1080, 1920}, {720, 1280}},
               {{1920, 1080}, {1280, 720}}, {{640, 480}, {640, 480}},   {{1050, 1500}, {720, 1028}},
               {{853, 479}, {852, 478}},    {{1000, 1000}, {720, 720}}, {{2560, 640}, {1280, 320}}};
  for (const auto& c : cases) {
    const PictureSize size = BackgroundCanvas::size_for(c.camera);
    EXPECT_TRUE(size == c.output) << c.camera.width << "x" << c.camera.height << ": " << size.width
                                  << "x" << size.height;
  }
}

/// Grey, with a bright mark in each corner: of another brightness each, a fifth of the sides.
std::shared_ptr<AVFrame> marked_picture(const PictureSize& size) {
  AvFramePtr frame = make_yuv_frame(size.width, size.height);
  for (int plane = 0; plane < 3; ++plane) {
    const int shift = plane == 0 ? 0 : 1;
    for (int y = 0; y < (size.height + shift) >> shift; ++y) {
      for (int x = 0; x < (size.width + shift) >> shift; ++x) {
        const double across = (x + 0.5) * (1 << shift) / size.width;
        const double down = (y + 0.5) * (1 << shift) / size.height;
        const bool mark = (across < 0.2 || across > 0.8) && (down < 0.2 || down > 0.8);
        const int light = 120 + (across > 0.5 ? 35 : 0) + (down > 0.5 ? 70 : 0);
        frame->data[plane][y * frame->linesize[plane] + x] = static_cast<uint8_t>(plane > 0 ? 128
                                                                                  : mark    ? light
                                                                                            : 40);
      }
    }
  }
  return {frame.release(), AvFrameDeleter()};
}

int luma(const AVFrame& frame, double across, double down) {
  return frame.data[0][static_cast<int>(down * frame.height) * frame.linesize[0] +
                       static_cast<int>(across * frame.width)];
}

// A whole picture goes in and comes out, in the host's memory and in a GPU's.
class AnyCamera : public ::testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<VideoOps> video() const { return GetParam() ? make_cuda_video_ops(0) : nullptr; }
  EmulatedCuda cuda_;
};

INSTANTIATE_TEST_SUITE_P(Media, AnyCamera, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "gpu" : "host"; });

TEST_P(AnyCamera, KeepsItsCornersAndItsShape) {
  const auto intake = PictureIntake::make(video(), nano());
  const auto outlet = PictureOutlet::make(video(), nano());
  for (const PictureSize& camera : kCameras) {
    OutputSize fresh(nano());
    const auto picture = marked_picture(camera);
    GeneratedChunk chunk;
    chunk.frames.resize(1);
    intake->take(picture, 0, chunk, chunk.frames[0]);
    EXPECT_TRUE(chunk.size == nano().size_for(camera));
    // Each camera is a session of its own here.
    chunk.frames[0].output = fresh.of(camera);
    const AVFrame& out = outlet->picture(chunk, 0, nullptr);
    const PictureSize wanted = output_size(nano(), camera);
    ASSERT_EQ(out.width, wanted.width);
    ASSERT_EQ(out.height, wanted.height);
    for (const double across : {0.07, 0.93}) {
      for (const double down : {0.07, 0.93}) {
        // Of 16 lines a mark has three: what is painted between them is soft.
        const int most = std::min(camera.width, camera.height) < 64 ? 40 : 8;
        EXPECT_NEAR(luma(out, across, down), luma(*picture, across, down), most)
            << camera.width << "x" << camera.height << " at " << across << ", " << down;
      }
    }
    EXPECT_NEAR(luma(out, 0.5, 0.5), 40, 8) << camera.width << "x" << camera.height;
    EXPECT_NEAR(luma(out, 0.35, 0.07), 40, 12) << camera.width << "x" << camera.height;
    EXPECT_NEAR(luma(out, 0.07, 0.35), 40, 12) << camera.width << "x" << camera.height;
  }
}

TEST_P(AnyCamera, OneChunkHoldsPicturesOfOneSize) {
  ModelInfo model = nano();
  model.frames_per_chunk = 2;
  const auto intake = PictureIntake::make(video(), model);
  Chunk chunk;
  FrameMeta meta;
  intake->take(marked_picture({160, 90}), 0, chunk, meta);
  EXPECT_THROW(intake->take(marked_picture({90, 160}), 1, chunk, meta), Error);
  intake->take(marked_picture({320, 180}), 1, chunk, meta);
  EXPECT_TRUE(meta.output == (PictureSize{320, 180}));
}

TEST(SceneFeedSize, FollowsTheCameraAndShowsNothingOfAnotherSize) {
  SceneInbox inbox;
  SceneFeed feed(nano(), inbox);
  feed.set(SceneKind::kForest, 1, true, 0);
  EXPECT_TRUE(feed.size() == nano().size());
  feed.fit({720, 1280});
  EXPECT_TRUE(feed.size() == (PictureSize{144, 256}));
  GeneratedChunk wide;
  wide.source = PictureSource::kScene;
  wide.size = nano().size();
  wide.rgb.assign(256 * 144 * 3, 255);
  inbox.push(wide);
  for (double now = 1e6; now < 1e6 + 3000; now += 33) {
    if (const auto chunk = feed.advance(now)) {
      EXPECT_TRUE(chunk->size == feed.size());
      EXPECT_EQ(chunk->rgb.size(), size_t{144 * 256 * 3});
    }
    const AVFrame& shown = feed.picture(now);
    ASSERT_EQ(shown.width, 144);
    ASSERT_EQ(shown.height, 256);
    EXPECT_LT(luma(shown, 0.5, 0.95), 235) << "a picture of another size is shown";
  }
}

}  // namespace
}  // namespace driftless
