#include <gtest/gtest.h>

#include "core/error.h"
#include "media/frame_converter.h"
#include "media_test_pictures.h"

namespace driftless {
namespace {

void fill(AVFrame& frame, int x0, int x1, uint8_t luma, uint8_t u, uint8_t v) {
  for (int y = 0; y < frame.height; ++y) {
    for (int x = x0; x < x1; ++x) {
      frame.data[0][y * frame.linesize[0] + x] = luma;
      frame.data[1][y / 2 * frame.linesize[1] + x / 2] = u;
      frame.data[2][y / 2 * frame.linesize[2] + x / 2] = v;
    }
  }
}

struct Size {
  int width, height;
};

class AnySize : public ::testing::TestWithParam<Size> {};

INSTANTIATE_TEST_SUITE_P(Media, AnySize,
                         ::testing::Values(Size{16, 16}, Size{17, 23}, Size{160, 120},
                                           Size{256, 144}, Size{641, 359}, Size{720, 1280},
                                           Size{1920, 1080}),
                         [](const auto& info) {
                           return std::to_string(info.param.width) + "x" +
                                  std::to_string(info.param.height);
                         });

TEST_P(AnySize, FlatColourSurvivesBothWays) {
  AvFramePtr source = make_yuv_frame(GetParam().width, GetParam().height);
  fill(*source, 0, source->width, 81, 90, 240);  // pure red in limited-range BT.601
  FrameConverter converter(100, 60);
  std::vector<uint8_t> rgb(100 * 60 * 3);
  converter.to_rgb(*source, rgb.data());
  for (size_t i = 0; i < rgb.size(); i += 3) {
    ASSERT_NEAR(rgb[i], 254, 3) << "pixel " << i / 3;
    ASSERT_NEAR(rgb[i + 1], 0, 3);
    ASSERT_NEAR(rgb[i + 2], 0, 3);
  }
  const AVFrame& back = converter.to_yuv(rgb.data());
  EXPECT_EQ(back.width, 100);
  EXPECT_NEAR(back.data[0][5], 81, 2);
  EXPECT_NEAR(back.data[1][5], 90, 2);
  EXPECT_NEAR(back.data[2][5], 240, 2);
}

TEST(FrameConverter, StretchesAWideSourceWithoutLosingItsEnds) {
  // 400x100: the last 50 columns at either end are white, and so an eighth of a square picture.
  AvFramePtr source = make_yuv_frame(400, 100);
  fill(*source, 0, 400, 235, 128, 128);
  fill(*source, 50, 350, 16, 128, 128);
  FrameConverter converter(64, 64);
  std::vector<uint8_t> rgb(64 * 64 * 3);
  converter.to_rgb(*source, rgb.data());
  const auto at = [&](int x) { return rgb[static_cast<size_t>(32 * 64 + x) * 3]; };
  for (const int x : {0, 6, 57, 63}) EXPECT_GT(at(x), 245) << "column " << x;
  for (int x = 10; x < 54; ++x) EXPECT_LT(at(x), 10) << "column " << x;
}

TEST(FrameConverter, FollowsTheRangeThatTheStreamDeclares) {
  AvFramePtr source = make_yuv_frame(64, 64);
  fill(*source, 0, 64, 235, 128, 128);
  FrameConverter converter(64, 64);
  std::vector<uint8_t> rgb(64 * 64 * 3);
  converter.to_rgb(*source, rgb.data());
  EXPECT_NEAR(rgb[0], 255, 3);
  source->color_range = AVCOL_RANGE_JPEG;
  converter.to_rgb(*source, rgb.data());
  EXPECT_NEAR(rgb[0], 235, 3);
}

TEST(FrameConverter, RefusesAModelSizeThatIsNone) { EXPECT_THROW(FrameConverter(0, 10), Error); }

}  // namespace
}  // namespace driftless
