#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "media/ffmpeg_support.h"
#include "media/guided_upscaler.h"

namespace driftless {
namespace {

constexpr PictureSize kModel = {64, 36}, kCamera = {160, 90};

/// brightness(x, y) with both in 0..1; grey.
template <typename Brightness>
AvFramePtr picture(PictureSize size, Brightness brightness) {
  AvFramePtr frame = make_yuv_frame(size.width, size.height);
  for (int plane = 0; plane < 3; ++plane) {
    const int half = plane == 0 ? 1 : 2;
    for (int y = 0; y < (size.height + half - 1) / half; ++y) {
      uint8_t* line = frame->data[plane] + static_cast<ptrdiff_t>(y) * frame->linesize[plane];
      for (int x = 0; x < (size.width + half - 1) / half; ++x) {
        line[x] = plane > 0 ? 128
                            : static_cast<uint8_t>(std::lround(
                                  brightness((x + 0.5) / size.width, (y + 0.5) / size.height)));
      }
    }
  }
  return frame;
}
int at(const AVFrame& frame, int x, int y) { return frame.data[0][y * frame.linesize[0] + x]; }

/// A soft step of the model's, as wide as 5 of its pixels.
double soft_step(double x) { return 60 + 100 / (1 + std::exp(-(x - 0.5) * 64)); }
double hard_step(double x) { return x < 0.5 ? 40 : 200; }

TEST(GuidedUpscaler, AnEdgeBecomesAsSharpAsTheCameras) {
  const AvFramePtr small = picture(kModel, [](double x, double) { return soft_step(x); });
  const AvFramePtr sharp = picture(kCamera, [](double x, double) { return hard_step(x); });
  const AvFramePtr flat = picture(kCamera, [](double, double) { return 100.0; });
  GuidedUpscaler upscaler;
  const auto slope = [&](const AVFrame& camera) {
    const AVFrame& out = upscaler.upscale(*small, camera, kCamera);
    EXPECT_EQ(kCamera.width, out.width);
    EXPECT_EQ(kCamera.height, out.height);
    return at(out, 81, 45) - at(out, 78, 45);
  };
  const int plain = slope(*flat);
  EXPECT_GT(slope(*sharp), 1.5 * plain);
}

TEST(GuidedUpscaler, TakesOverNothingThatTheModelLeftOut) {
  // A camera full of stripes and noise-like detail before a model that painted one colour.
  const AvFramePtr small = picture(kModel, [](double, double) { return 90.0; });
  const AvFramePtr camera = picture(
      kCamera, [](double x, double y) { return 128 + 90 * std::sin(300 * x) * std::cos(210 * y); });
  GuidedUpscaler upscaler;
  const AVFrame& out = upscaler.upscale(*small, *camera, kCamera);
  for (int y = 0; y < kCamera.height; ++y) {
    for (int x = 0; x < kCamera.width; ++x) ASSERT_NEAR(90, at(out, x, y), 1) << x << ", " << y;
  }
}

TEST(GuidedUpscaler, KeepsBrushStrokesThatTheCameraDoesNotKnow) {
  const auto strokes = [](double x, double y) { return 120 + 50 * std::sin(40 * (x + y)); };
  const AvFramePtr small = picture(kModel, strokes);
  const AvFramePtr camera = picture(kCamera, [](double, double) { return 140.0; });
  GuidedUpscaler upscaler;
  const AVFrame& out = upscaler.upscale(*small, *camera, kCamera);
  const AvFramePtr expected = picture(kCamera, strokes);
  double error = 0;
  for (int y = 4; y < kCamera.height - 4; ++y) {
    for (int x = 4; x < kCamera.width - 4; ++x) {
      error = std::max<double>(error, std::abs(at(out, x, y) - at(*expected, x, y)));
    }
  }
  EXPECT_LT(error, 8);
}

// Painted in 16:9, of a camera of 3:2 that stands upright: enlarged more in one direction.
TEST(GuidedUpscaler, BringsAPictureToAnotherShape) {
  const PictureSize upright = {80, 120};
  const auto ramp = [](double x, double y) { return 40 + 80 * x + 90 * y; };
  const AvFramePtr small = picture(kModel, ramp), camera = picture({40, 60}, ramp);
  GuidedUpscaler upscaler;
  const AVFrame& out = upscaler.upscale(*small, *camera, upright);
  ASSERT_EQ(upright.width, out.width);
  ASSERT_EQ(upright.height, out.height);
  const AvFramePtr expected = picture(upright, ramp);
  for (int y = 0; y < upright.height; ++y) {
    for (int x = 0; x < upright.width; ++x) {
      ASSERT_NEAR(at(*expected, x, y), at(out, x, y), 3) << x << ", " << y;
    }
  }
}

TEST(GuidedUpscaler, WhatStandsStillGivesTheSamePictureAgain) {
  const AvFramePtr small = picture(kModel, [](double x, double) { return soft_step(x); });
  const AvFramePtr camera = picture(kCamera, [](double x, double) { return hard_step(x); });
  GuidedUpscaler upscaler;
  const auto bytes = [&] {
    const AVFrame& out = upscaler.upscale(*small, *camera, kCamera);
    std::vector<uint8_t> rows;
    for (int y = 0; y < kCamera.height; ++y) {
      const uint8_t* line = out.data[0] + static_cast<ptrdiff_t>(y) * out.linesize[0];
      rows.insert(rows.end(), line, line + kCamera.width);
    }
    return rows;
  };
  const std::vector<uint8_t> first = bytes();
  upscaler.upscale(*picture(kModel, [](double, double y) { return 50 + 150 * y; }), *camera,
                   kCamera);
  EXPECT_EQ(first, bytes());
}

}  // namespace
}  // namespace driftless
