// Pictures of bytes: how much they differ and where, held still, at another size.

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "ops_test_support.h"
#include "stream/steadier.h"

namespace driftless {
namespace {

using Pixels = std::vector<uint8_t>;
constexpr int kWidth = 72, kHeight = 40;  // the last blocks are half as large
constexpr size_t kFrame = 3 * kWidth * kHeight;

Pixels flat(uint8_t value) { return Pixels(kFrame, value); }

Pixels noisy(uint64_t index, double deviation) {
  std::vector<float> noise(kFrame);
  fill_normal(3, index, 0, noise.data(), noise.size());
  Pixels pixels;
  for (const float value : noise) {
    pixels.push_back(
        static_cast<uint8_t>(std::lround(120 + deviation * static_cast<double>(value))));
  }
  return pixels;
}

// Left of `edge` dark, right of it bright.
Pixels half(int edge) {
  Pixels pixels(kFrame);
  for (size_t i = 0; i < kFrame; ++i)
    pixels[i] = static_cast<int>(i / 3) % kWidth < edge ? 90 : 150;
  return pixels;
}

class PicturesTest : public OpsTest {
 protected:
  Tensor bytes(Shape shape, const Pixels& values) {
    EXPECT_EQ(shape.count(), static_cast<int64_t>(values.size()));
    return arena.copy(Tensor(DType::u8, shape, const_cast<uint8_t*>(values.data())));
  }
  Tensor frames(const std::vector<Pixels>& list) {
    Pixels all;
    for (const Pixels& frame : list) all.insert(all.end(), frame.begin(), frame.end());
    return bytes({static_cast<int64_t>(list.size()), kHeight, kWidth, 3}, all);
  }
  Tensor one(const Pixels& frame) { return frames({frame}).at(0); }
  Pixels values(const Tensor& tensor) {
    ops->wait();
    return {tensor.u8(), tensor.u8() + tensor.count()};
  }

  Pixels motion(const Tensor& before, const Tensor& frames) {
    const Tensor map = arena.tensor({frames.dim(0), 3, 5}, DType::u8);
    ops->measure_motion(before, frames, map);
    return values(map);
  }

  Pixels show(const Pixels& frame, const Pixels& motion, bool anew = false) {
    const Tensor picture = frames({frame});
    const bool begins = anew || !shown.present();
    ops->hold_still(bytes({1, 3, 5}, motion), 0.3f, begins, shown_picture(), picture);
    return values(picture);
  }
  Pixels show(const Pixels& frame, uint8_t motion, bool anew = false) {
    return show(frame, Pixels(15, motion), anew);
  }
  const Tensor& shown_picture() {
    if (!shown.present()) shown = arena.tensor({kHeight, kWidth, 3, 2}, DType::u8);
    return shown;
  }

  Pixels resampled(const Pixels& in, const Resampling& across, const Resampling& down) {
    const Tensor to = arena.tensor({1, down.to, across.to, 3}, DType::u8);
    ops->resample(across, down, bytes({1, down.from, across.from, 3}, in), to);
    return values(to);
  }

  Tensor shown;
};

TEST_P(PicturesTest, DifferencesOfFrames) {
  const Pixels a = noisy(1, 50), b = noisy(2, 50), c = noisy(3, 50);
  const auto difference = [](const Pixels& x, const Pixels& y) {
    uint64_t sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      sum += static_cast<uint64_t>((int{x[i]} - y[i]) * (int{x[i]} - y[i]));
    }
    return sum;
  };
  std::vector<uint64_t> sums(2, 7);
  ops->frame_differences(one(a), frames({b, c}), sums.data());
  EXPECT_EQ(sums, (std::vector<uint64_t>{difference(a, b), difference(b, c)}));
  ops->frame_differences({}, frames({b, c}), sums.data());
  EXPECT_EQ(sums, (std::vector<uint64_t>{0, difference(b, c)}));
}

TEST_P(PicturesTest, SumsOfEveryFifthPixel) {
  const Pixels a = noisy(1, 50), b = noisy(2, 50);
  std::vector<uint64_t> expected(6), sums(6);
  for (size_t p = 0; p < 2 * kFrame / 3; p += 5) {
    for (size_t c = 0; c < 3; ++c) {
      const uint64_t value = 3 * p < kFrame ? a[3 * p + c] : b[3 * p + c - kFrame];
      expected[c] += value;
      expected[3 + c] += value * value;
    }
  }
  ops->picture_sums(frames({a, b}), 5, sums.data());
  EXPECT_EQ(sums, expected);
}

TEST_P(PicturesTest, ATableForEachChannel) {
  Pixels tables(3 * 256), expected = noisy(1, 50);
  for (size_t c = 0; c < 3; ++c) {
    for (size_t v = 0; v < 256; ++v) tables[256 * c + v] = static_cast<uint8_t>(v * (c + 3) + c);
  }
  const Tensor picture = frames({expected});
  for (size_t i = 0; i < kFrame; ++i) expected[i] = tables[256 * (i % 3) + expected[i]];
  ops->map_bytes(tables.data(), picture);
  EXPECT_TRUE(values(picture) == expected);
}

TEST_P(PicturesTest, MotionIsEdgesThatMoveAndNoNoise) {
  for (const uint8_t value : motion(one(noisy(1, 3)), frames({noisy(2, 3)}))) EXPECT_LE(value, 5);
  const Pixels edges = motion(one(half(40)), frames({half(41)}));
  for (size_t block = 0; block < edges.size(); ++block) {
    EXPECT_EQ(edges[block] >= 12, block % 5 == 2) << block;
  }
}

TEST_P(PicturesTest, EverythingMovesAtTheStartAndFramesFollowEachOther) {
  const Pixels map = motion({}, frames({half(40), half(40), half(48)}));
  EXPECT_EQ(*std::min_element(map.begin(), map.begin() + 15), 255);
  EXPECT_EQ(*std::max_element(map.begin() + 15, map.begin() + 30), 0);
  EXPECT_GT(*std::max_element(map.begin() + 30, map.end()), 30);
}

TEST_P(PicturesTest, FlickerOfAStillPictureBecomesAThirdAndLess) {
  show(flat(100), 0);
  int most = 0;
  uint8_t before = 0;
  for (int i = 0; i < 40; ++i) {
    const Pixels picture = show(flat(i % 2 == 0 ? 110 : 100), i % 4 < 2 ? 0 : 4);
    if (i > 10) most = std::max(most, std::abs(picture[0] - before));
    before = picture[0];
    EXPECT_TRUE(
        std::all_of(picture.begin(), picture.end(), [&](int v) { return v == picture[0]; }));
  }
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 1);
}

TEST_P(PicturesTest, AStillPictureArrivesWhereItWasMadeToBe) {
  show(flat(0), 0);
  Pixels picture;
  for (int i = 0; i < 60; ++i) picture = show(flat(255), 0);
  EXPECT_GE(picture[0], 254);
  for (int i = 0; i < 60; ++i) picture = show(flat(0), 0);
  EXPECT_LE(picture[0], 1);
}

TEST_P(PicturesTest, MotionTheStartAndAnotherLookAreShownAsTheyAre) {
  EXPECT_TRUE(show(half(10), 0) == half(10)) << "the start";
  EXPECT_TRUE(show(half(30), 12) == half(30)) << "motion";
  EXPECT_TRUE(show(noisy(1, 20), 0, true) == noisy(1, 20)) << "another look";
  EXPECT_FALSE(show(half(50), 0) == half(50));
}

TEST_P(PicturesTest, NeighboursOfMotionAreFreeAndTheRestIsHeld) {
  show(flat(100), 0);
  Pixels motion(15, 0);
  motion[0] = 200;  // the corner's block
  const Pixels picture = show(flat(200), motion);
  EXPECT_EQ(picture[0], 200);
  EXPECT_EQ(picture[3 * 20], 200) << "in the block beside it";
  EXPECT_NEAR(picture[kFrame - 1], 130, 1) << "far away";
}

TEST_P(PicturesTest, FramesAreHeldOneAfterTheOther) {
  show(flat(0), 0);
  const Tensor together = frames({flat(100), flat(100)});
  ops->hold_still(bytes({2, 3, 5}, Pixels(30, 0)), 0.5f, false, shown, together);
  const Pixels two = values(together);
  EXPECT_EQ(two.front(), 50);
  EXPECT_EQ(two.back(), 75);
}

TEST_P(PicturesTest, AStreamsSecondFrameIsHeldByItsFirst) {
  Steadier steadier(*ops, arena, kWidth, kHeight, 0.5);
  const Tensor start = frames({flat(100), flat(200)});
  steadier.apply(start, bytes(Steadier::motion_shape(2, kWidth, kHeight), Pixels(30, 0)), false);
  EXPECT_EQ(values(start).front(), 100);
  EXPECT_EQ(values(start).back(), 150);
  const Tensor another = frames({flat(10), flat(20)});
  steadier.apply(another, bytes({2, 3, 5}, Pixels(30, 0)), true);
  EXPECT_EQ(values(another).back(), 20);
}

TEST_P(PicturesTest, ResamplingKeepsFlatPicturesAndSlopes) {
  const auto there_and_back = [this](const Pixels& in) {
    const Pixels between =
        resampled(in, Resampling::triangle(64, 48), Resampling::triangle(32, 32));
    return resampled(between, Resampling::triangle(48, 64), Resampling::triangle(32, 32));
  };
  EXPECT_TRUE(there_and_back(Pixels(64 * 32 * 3, 201)) == Pixels(64 * 32 * 3, 201));
  Pixels in(64 * 32 * 3);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<uint8_t>(20 + 3 * (i / 3 % 64));
  const Pixels out = there_and_back(in);
  for (size_t i = 0; i < in.size(); ++i) {
    const size_t x = i / 3 % 64;
    ASSERT_NEAR(in[i], out[i], x >= 2 && x < 62 ? 1 : 3) << "column " << x;
  }
}

TEST_P(PicturesTest, ResamplingMakesFinePatternsTheirMean) {
  Pixels in(64 * 32 * 3);
  for (size_t i = 0; i < in.size(); ++i) in[i] = (i / 3 % 64 + i / 192) % 2 == 0 ? 0 : 255;
  for (const uint8_t value :
       resampled(in, Resampling::triangle(64, 24), Resampling::triangle(32, 12))) {
    ASSERT_NEAR(value, 127.5, 20);
  }
  for (const uint8_t value : resampled(in, Resampling::area(64, 32), Resampling::area(32, 16))) {
    ASSERT_NEAR(value, 127.5, 0.6) << "two by two pixels of each";
  }
}

TEST_P(PicturesTest, ResamplingSharpEdgesByCubicsStaysInBytes) {
  Pixels in(8 * 4 * 3);
  for (size_t i = 0; i < in.size(); ++i) in[i] = i / 3 % 8 < 4 ? 0 : 255;
  const Pixels out = resampled(in, Resampling::cubic(8, 16), Resampling::cubic(4, 8));
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t x = i / 3 % 16;
    const bool edge = x >= 6 && x <= 9;
    ASSERT_TRUE(edge || out[i] == (x < 6 ? 0 : 255)) << "undershoot is cut off, at " << x;
  }
  EXPECT_TRUE(resampled(Pixels(96, 77), Resampling::cubic(8, 13), Resampling::cubic(4, 7)) ==
              Pixels(7 * 13 * 3, 77));
}

TEST_P(PicturesTest, WrongShapesNameExpectedAndGot) {
  const Tensor picture = frames({flat(0)});
  uint64_t sums[6];
  expect_error(
      [&] {
        ops->frame_differences(bytes({1, 1, 3}, Pixels(3)), picture, sums);
      },
      {"[40, 72, 3]", "[1, 1, 3]"});
  expect_error([&] { ops->picture_sums(arena.tensor({1, 2, 2, 3}), 5, sums); }, {"u8", "f32"});
  expect_error(
      [&] {
        ops->measure_motion({}, picture, bytes({1, 2, 5}, Pixels(10)));
      },
      {"[1, 3, 5]", "[1, 2, 5]"});
  expect_error(
      [&] {
        ops->hold_still(bytes({1, 3, 5}, Pixels(15)), 0, false, shown_picture(), picture);
      },
      {"least weight", "over 0 to 1"});
  expect_error(
      [&] {
        ops->resample(Resampling::triangle(64, 32), Resampling::triangle(kHeight, 20), picture,
                      bytes({1, 20, 32, 3}, Pixels(20 * 32 * 3)));
      },
      {"64x40", "72x40"});
  expect_error([] { Resampling::area(0, 4); }, {"at least one pixel", "0"});
}

DRIFTLESS_ON_ALL_BACKENDS(PicturesTest);

}  // namespace
}  // namespace driftless
