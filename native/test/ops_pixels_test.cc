#include <numeric>

#include "ops_test_support.h"

namespace driftless {
namespace {

class PixelsTest : public OpsTest {
 protected:
  Tensor counting(Shape shape) {
    const Tensor tensor = arena.tensor(shape);
    std::iota(tensor.f32(), tensor.f32() + tensor.count(), 0.0f);
    return tensor;
  }
};

TEST_P(PixelsTest, Upsample2RepeatsPixels) {
  const Tensor y = arena.tensor({1, 2, 4, 2});
  ops->upsample2(counting({1, 1, 2, 2}), y);
  expect_close(from({1, 2, 4, 2}, {0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3}), y);
}

TEST_P(PixelsTest, PixelUnshuffleHasTorchsChannelOrder) {
  // One 2x2 picture with two channels: out channel = c * 4 + dy * 2 + dx.
  const Tensor y = arena.tensor({1, 1, 1, 8});
  ops->pixel_unshuffle(counting({1, 2, 2, 2}), y);
  expect_close(from({1, 1, 1, 8}, {0, 2, 4, 6, 1, 3, 5, 7}), y);
  const Tensor x = random({2, 6, 4, 3}), blocks = arena.tensor({2, 3, 2, 12});
  const Tensor back = arena.tensor(x.shape());
  ops->pixel_unshuffle(x, blocks);
  ops->pixel_shuffle(blocks, back);
  expect_close(x, back, 0.0);
}

TEST_P(PixelsTest, UnpatchifyHasWansOrder) {
  // Two tokens side by side, each (row, column, channel) with the channel fastest.
  const Tensor y = arena.tensor({1, 2, 4, 2});
  ops->unpatchify(counting({1, 1, 2, 8}), y);
  expect_close(from({1, 2, 4, 2}, {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15}), y);
}

TEST_P(PixelsTest, FramesAndChannels) {
  const Tensor x = counting({4, 1, 2, 2}), y = arena.tensor({2, 1, 2, 4});
  ops->frames_to_channels(x, y);
  expect_close(from({2, 1, 2, 4}, {0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15}), y);
  const Tensor back = arena.tensor(x.shape());
  ops->channels_to_frames(y, back);
  expect_close(x, back, 0.0);
}

TEST_P(PixelsTest, PlanarAndBack) {
  const Tensor x = counting({1, 2, 1, 3}), y = arena.tensor({1, 1, 3, 2});
  ops->nchw_to_nhwc(x, y);
  expect_close(from({1, 1, 3, 2}, {0, 3, 1, 4, 2, 5}), y);
  const Tensor back = arena.tensor(x.shape());
  ops->nhwc_to_nchw(y, back);
  expect_close(x, back, 0.0);
}

TEST_P(PixelsTest, BilinearUsesPixelCentresRepeatsFramesAndAccumulates) {
  const Tensor x = from({1, 1, 2, 1}, {0, 4}), y = arena.tensor({2, 2, 4, 1});
  ops->upsample_bilinear(x, y, false);
  const std::vector<float> line = {0, 1, 3, 4};
  std::vector<float> all;
  for (int i = 0; i < 4; ++i) all.insert(all.end(), line.begin(), line.end());
  expect_close(from({2, 2, 4, 1}, all), y);
  ops->upsample_bilinear(x, y, true);
  for (float& value : all) value *= 2;
  expect_close(from({2, 2, 4, 1}, all), y);
}

TEST_P(PixelsTest, AveragePoolsFramesAndSquares) {
  const Tensor y = arena.tensor({1, 1, 2, 1});
  ops->average_pool(counting({2, 2, 4, 1}), y);
  expect_close(from({1, 1, 2, 1}, {6.5f, 8.5f}), y);
  expect_error(
      [&] {
        ops->average_pool(random({3, 2, 4, 1}), arena.tensor({2, 1, 2, 1}));
      },
      {"frames", "multiple of 2", "3"});
}

TEST_P(PixelsTest, BytesAndFloats) {
  uint8_t bytes[6] = {0, 1, 127, 128, 254, 255};
  const Tensor u8 = arena.copy(Tensor(DType::u8, {6}, bytes)), x = arena.tensor({6});
  ops->u8_to_f32(u8, 2.0f, -1.0f, x);
  EXPECT_FLOAT_EQ(x.f32()[0], -1.0f);
  EXPECT_FLOAT_EQ(x.f32()[5], 1.0f);
  EXPECT_FLOAT_EQ(x.f32()[2], 127 / 255.0f * 2 - 1);
  const Tensor back_bytes = arena.tensor({6}, DType::u8);
  const uint8_t* back = back_bytes.u8();
  ops->f32_to_u8(x, 0.5f, 0.5f, back_bytes);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(back[i], bytes[i]);
  const Tensor outside = from({6}, {-3, 1.5f, NAN, 0.5f / 255, 1.5f / 255, INFINITY});
  ops->f32_to_u8(outside, 1.0f, 0.0f, back_bytes);
  const uint8_t expected[6] = {0, 255, 0, 0, 2, 255};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(back[i], expected[i]) << i;
  expect_error([&] { ops->u8_to_f32(x, 1, 0, x); }, {"byte picture dtype", "u8", "f32"});
}

TEST_P(PixelsTest, WrongShapesNameExpectedAndGot) {
  expect_error(
      [&] {
        ops->upsample2(random({1, 2, 2, 1}), random({1, 4, 5, 1}));
      },
      {"[1, 4, 4, 1]", "[1, 4, 5, 1]"});
  expect_error(
      [&] {
        ops->pixel_unshuffle(random({1, 4, 4, 1}), random({1, 2, 2, 3}));
      },
      {"[1, 2, 2, 4]", "[1, 2, 2, 3]"});
  expect_error(
      [&] {
        ops->unpatchify(random({1, 2, 2, 8}), random({1, 4, 4, 3}));
      },
      {"token width", "12", "8"});
  expect_error(
      [&] {
        ops->nchw_to_nhwc(random({1, 2, 3, 4}), random({1, 2, 3, 4}));
      },
      {"[1, 3, 4, 2]", "[1, 2, 3, 4]"});
  const Tensor x = random({1, 2, 2, 4});
  expect_error([&] { ops->pixel_shuffle(x, x.reshape({1, 4, 4, 1})); }, {"memory of its own"});
}

DRIFTLESS_ON_ALL_BACKENDS(PixelsTest);

}  // namespace
}  // namespace driftless
