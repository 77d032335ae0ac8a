#include <gtest/gtest.h>

#include "core/error.h"
#include "media/decoder.h"
#include "media/ffmpeg_support.h"
#include "media/low_layer.h"

namespace driftless {
namespace {

/// A ramp from left to right, with another in the chroma from top to bottom.
AvFramePtr ramp(int width, int height) {
  AvFramePtr frame = make_yuv_frame(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      frame->data[0][y * frame->linesize[0] + x] = static_cast<uint8_t>(30 + 190 * x / width);
    }
  }
  for (int y = 0; y < height / 2; ++y) {
    for (int x = 0; x < width / 2; ++x) {
      frame->data[1][y * frame->linesize[1] + x] = static_cast<uint8_t>(60 + 120 * 2 * y / height);
      frame->data[2][y * frame->linesize[2] + x] = 128;
    }
  }
  return frame;
}

class LowLayerTest : public testing::TestWithParam<VideoCodec> {};

TEST_P(LowLayerTest, ShowsTheWholePictureAtHalfItsSize) {
  LowLayer layer(GetParam(), 200'000);
  const AvFramePtr picture = ramp(640, 360);
  const EncodedPicture first = layer.encode(*picture, 16, 1000);
  EXPECT_TRUE(first.key_frame);
  EXPECT_EQ(first.width, 320);
  EXPECT_EQ(first.height, 180);
  EXPECT_EQ(first.capture_time_ms, 1000);

  Decoder decoder(GetParam());
  const DecodeResult result = decoder.decode(first.data.data(), first.data.size());
  ASSERT_EQ(result.status, DecodeStatus::kFrame) << result.message;
  const AvFramePtr& shown = result.frame;
  for (const int x : {4, 160, 315}) {
    EXPECT_NEAR(shown->data[0][90 * shown->linesize[0] + x], 30 + 190 * x / 320, 8) << x;
  }
  for (const int y : {2, 45, 87}) {
    EXPECT_NEAR(shown->data[1][y * shown->linesize[1] + 80], 60 + 120 * y / 90, 8) << y;
  }
}

TEST_P(LowLayerTest, GivesKeyFramesWhenAskedAndForAnotherSize) {
  LowLayer layer(GetParam(), 200'000);
  const AvFramePtr wide = ramp(640, 360);
  const AvFramePtr upright = ramp(360, 640);
  EXPECT_TRUE(layer.encode(*wide, 16, 0).key_frame);
  EXPECT_FALSE(layer.encode(*wide, 16, 62).key_frame);
  layer.request_key_frame();
  EXPECT_TRUE(layer.encode(*wide, 16, 125).key_frame);
  EXPECT_FALSE(layer.encode(*wide, 16, 187).key_frame);
  const EncodedPicture turned = layer.encode(*upright, 16, 250);
  EXPECT_TRUE(turned.key_frame);
  EXPECT_EQ(turned.width, 180);
  EXPECT_EQ(turned.height, 320);
}

TEST_P(LowLayerTest, LeavesSmallPicturesTheirSizeAndTakesOddOnes) {
  LowLayer layer(GetParam(), 200'000);
  EXPECT_EQ(layer.encode(*ramp(256, 144), 16, 0).width, 256);
  const EncodedPicture odd = layer.encode(*ramp(854, 478), 16, 62);
  EXPECT_EQ(odd.width, 426);
  EXPECT_EQ(odd.height, 238);
  EXPECT_EQ(layer.encode(*ramp(1280, 720), 16, 125).width, 320);
}

TEST_P(LowLayerTest, RefusesPicturesOfAnotherFormat) {
  LowLayer layer(GetParam(), 200'000);
  AvFramePtr frame = make_frame();
  frame->format = AV_PIX_FMT_RGB24;
  frame->width = 64;
  frame->height = 64;
  EXPECT_THROW(layer.encode(*frame, 16, 0), Error);
}

INSTANTIATE_TEST_SUITE_P(Codecs, LowLayerTest,
                         testing::Values(VideoCodec::kVp8, VideoCodec::kH264));

}  // namespace
}  // namespace driftless
