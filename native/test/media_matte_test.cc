#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

#include "core/error.h"
#include "media/compositor.h"
#include "media/ffmpeg_support.h"
#include "media/matte_refiner.h"
#include "media/picture.h"
#include "media/presence_gate.h"

namespace driftless {
namespace {

constexpr int kWidth = 64, kHeight = 48;

struct Scene {
  std::vector<float> mask = std::vector<float>(kWidth * kHeight, 0.02f);
  std::vector<uint8_t> rgb = std::vector<uint8_t>(kWidth * kHeight * 3, 40);

  void box(int x0, int y0, int x1, int y1, float value, uint8_t grey) {
    for (int y = y0; y < y1; ++y) {
      for (int x = x0; x < x1; ++x) {
        mask[y * kWidth + x] = value;
        for (int c = 0; c < 3; ++c) rgb[(y * kWidth + x) * 3 + c] = grey;
      }
    }
  }
  /// Brightness as the camera's picture has it, enlarged by whole pixels.
  std::vector<uint8_t> luma(int scale) const {
    std::vector<uint8_t> out(static_cast<size_t>(kWidth) * kHeight * scale * scale);
    for (int y = 0; y < kHeight * scale; ++y) {
      for (int x = 0; x < kWidth * scale; ++x) {
        const uint8_t grey = rgb[(y / scale * kWidth + x / scale) * 3];
        out[static_cast<size_t>(y) * kWidth * scale + x] =
            static_cast<uint8_t>(16 + grey * 219 / 255);
      }
    }
    return out;
  }
};

std::vector<uint8_t> upsampled(MatteRefiner& refiner, const Scene& scene, int scale) {
  const std::vector<uint8_t> luma = scene.luma(scale);
  std::vector<uint8_t> alpha(luma.size());
  refiner.upsample(luma.data(), kWidth * scale, kWidth * scale, kHeight * scale, alpha.data());
  return alpha;
}

TEST(BoxMean, EqualsPlainSumsUpToTheBorders) {
  std::mt19937 random(3);
  for (const auto& [width, height, radius] : {std::array{9, 5, 1}, {5, 9, 3}, {17, 2, 4}}) {
    std::vector<float> in(static_cast<size_t>(width * height)), out(in.size()), memory;
    for (float& value : in) value = static_cast<float>(random() % 1000);
    box_mean(in.data(), out.data(), width, height, radius, memory);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        double sum = 0;
        int count = 0;
        for (int v = std::max(0, y - radius); v <= std::min(height - 1, y + radius); ++v) {
          for (int u = std::max(0, x - radius); u <= std::min(width - 1, x + radius); ++u) {
            sum += in[v * width + u];
            ++count;
          }
        }
        ASSERT_NEAR(sum / count, out[y * width + x], 0.01) << x << "," << y << " radius " << radius;
      }
    }
  }
}

TEST(MatteRefiner, KeepsThePersonAndDropsIslandsAndDoubt) {
  Scene scene;
  scene.box(20, 10, 44, 48, 0.99f, 180);  // a person
  scene.box(4, 4, 9, 9, 0.99f, 200);      // a lamp: sure, but small
  scene.box(50, 20, 60, 40, 0.45f, 90);   // a chair: large, but unsure
  MatteRefiner refiner(kWidth, kHeight);
  refiner.update(scene.mask.data(), scene.rgb.data());
  const std::vector<uint8_t> alpha = upsampled(refiner, scene, 5);
  const auto at = [&](int x, int y) { return int{alpha[(5 * y + 2) * kWidth * 5 + 5 * x + 2]}; };
  EXPECT_EQ(255, at(32, 30));
  EXPECT_EQ(0, at(6, 6)) << "the lamp stayed";
  EXPECT_EQ(0, at(55, 30)) << "the chair stayed";
  EXPECT_EQ(0, at(2, 40));
  EXPECT_NEAR(24.0 * 38 / (kWidth * kHeight), refiner.person_area(), 0.01);
}

TEST(MatteRefiner, FollowsTheEdgeOfTheFullPicture) {
  // The mask's edge is soft and half a mask pixel off; the picture's is sharp, at x = 20 * 8.
  constexpr int kScale = 8;
  Scene scene;
  scene.box(20, 0, kWidth, kHeight, 0.99f, 200);
  for (int y = 0; y < kHeight; ++y) {
    scene.mask[y * kWidth + 18] = 0.3f;
    scene.mask[y * kWidth + 19] = 0.6f;
    scene.mask[y * kWidth + 20] = 0.9f;
  }
  MatteRefiner refiner(kWidth, kHeight);
  refiner.update(scene.mask.data(), scene.rgb.data());
  const std::vector<uint8_t> alpha = upsampled(refiner, scene, kScale);
  const uint8_t* line = alpha.data() + static_cast<ptrdiff_t>(24) * kScale * kWidth * kScale;
  EXPECT_LT(line[20 * kScale - 1], 40) << "the room behind the edge shows";
  EXPECT_GT(line[20 * kScale + 1], 215) << "the person is cut into";
}

TEST(MatteRefiner, StillEdgesStayStillAndMovingOnesAreFollowedAtOnce) {
  std::mt19937 random(5);
  MatteRefiner refiner(kWidth, kHeight);
  double wander_in = 0, wander_out = 0;
  std::vector<float> last_in, last_out;
  for (int frame = 0; frame < 20; ++frame) {
    Scene scene;
    scene.box(20, 10, 44, 48, 0.98f, 180);
    for (int y = 10; y < 48; ++y) {
      scene.mask[y * kWidth + 44] = 0.725f + 0.1f * (static_cast<float>(random() % 100) / 50 - 1);
    }
    refiner.update(scene.mask.data(), scene.rgb.data());
    MatteRefiner fresh(kWidth, kHeight);
    fresh.update(scene.mask.data(), scene.rgb.data());
    if (frame > 2) {
      for (int y = 12; y < 46; ++y) {
        wander_in += std::abs(fresh.mask()[y * kWidth + 44] - last_in[y * kWidth + 44]);
        wander_out += std::abs(refiner.mask()[y * kWidth + 44] - last_out[y * kWidth + 44]);
      }
    }
    last_in = fresh.mask();
    last_out = refiner.mask();
  }
  EXPECT_LT(wander_out, 0.8 * wander_in);

  Scene moved;
  moved.box(4, 10, 28, 48, 0.98f, 180);
  refiner.update(moved.mask.data(), moved.rgb.data());
  EXPECT_GT(refiner.mask()[30 * kWidth + 8], 0.95f) << "the hand drags behind";
  EXPECT_LT(refiner.mask()[30 * kWidth + 40], 0.05f) << "the place she left shows the room";
}

TEST(MatteRefiner, RefusesTinyMasks) { EXPECT_THROW(MatteRefiner(4, 100), Error); }

AvFramePtr filled(int width, int height, uint8_t y, uint8_t u, uint8_t v) {
  AvFramePtr frame = make_yuv_frame(width, height);
  const uint8_t values[3] = {y, u, v};
  for (int plane = 0; plane < 3; ++plane) {
    const int lines = plane == 0 ? height : height / 2;
    std::fill_n(frame->data[plane], static_cast<ptrdiff_t>(frame->linesize[plane]) * lines,
                values[plane]);
  }
  return frame;
}

class CompositorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    scene_.box(16, 0, 48, 48, 0.99f, 150);
    matte_.update(scene_.mask.data(), scene_.rgb.data());
  }

  Scene scene_;
  MatteRefiner matte_{kWidth, kHeight};
  Compositor compositor_;
};

TEST_F(CompositorTest, SolidPartsAreTheCamerasAndTheScenesOwnPixels) {
  const AvFramePtr camera = filled(64, 48, 90, 110, 140), scene = filled(64, 48, 200, 60, 70);
  const AvFramePtr out = make_yuv_frame(64, 48);
  std::vector<uint8_t> alpha(64 * 48, 0);
  for (int y = 0; y < 48; ++y) std::fill_n(alpha.begin() + y * 64 + 24, 16, uint8_t{255});
  compositor_.compose(*camera, *scene, alpha.data(), matte_, 1, *out);
  EXPECT_EQ(90, out->data[0][24 * out->linesize[0] + 32]);
  EXPECT_EQ(110, out->data[1][12 * out->linesize[1] + 16]);
  EXPECT_EQ(200, out->data[0][24 * out->linesize[0] + 4]);
  EXPECT_EQ(60, out->data[1][12 * out->linesize[1] + 2]);
  compositor_.compose(*camera, *scene, alpha.data(), matte_, 0, *out);
  EXPECT_EQ(200, out->data[0][24 * out->linesize[0] + 32]) << "nobody is there";
}

TEST_F(CompositorTest, TheRimShowsThePersonsColourInsteadOfTheRooms) {
  // A grey person (the mask's picture) in a camera picture that is all room: deep blue.
  const AvFramePtr camera = filled(64, 48, 50, 230, 100), scene = filled(64, 48, 120, 128, 128);
  const AvFramePtr out = make_yuv_frame(64, 48);
  const std::vector<uint8_t> alpha(64 * 48, 100);
  compositor_.compose(*camera, *scene, alpha.data(), matte_, 1, *out);
  // Plain blending would give 128 + (230 - 128) * 100 / 255 = 168.
  EXPECT_LT(out->data[1][12 * out->linesize[1] + 16], 138);
}

TEST_F(CompositorTest, OtherSizesAreRefusedWithBothNamed) {
  const AvFramePtr camera = filled(64, 48, 0, 0, 0), scene = filled(32, 48, 0, 0, 0);
  const std::vector<uint8_t> alpha(64 * 48);
  try {
    compositor_.compose(*camera, *scene, alpha.data(), matte_, 1, *scene);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("64x48"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("32x48"), std::string::npos) << error.what();
  }
}

TEST(PresenceGate, StartsClosedForASecondThenOpensSoonAndClosesLater) {
  PresenceGate gate;
  gate.update(0.3f, 0);
  EXPECT_EQ(0, gate.opacity()) << "the first picture must show nobody";
  double now = 0;
  const auto run = [&](float area, double ms) {
    for (const double end = now + ms; now < end;) gate.update(area, now += 33);
  };
  run(0.3f, 990);
  EXPECT_EQ(0, gate.opacity()) << "the first second shows nobody";
  run(0.3f, 250);
  EXPECT_EQ(1, gate.opacity());
  run(0, 100);
  EXPECT_EQ(1, gate.opacity()) << "a mask that fails for a moment must not hide the person";
  run(0.3f, 100);
  run(0, 700);
  EXPECT_EQ(0, gate.opacity());
  run(0.009f, 2000);
  EXPECT_EQ(0, gate.opacity()) << "a chair is not somebody";
  run(0.3f, 500);
  EXPECT_EQ(1, gate.opacity()) << "back within half a second";
  gate.update(0.3f, now + 5000);
  EXPECT_EQ(0, gate.opacity()) << "after a gap nobody is known to be there";
}

}  // namespace
}  // namespace driftless
