#include "ops/mobile_ops.h"
#include "ops_test_support.h"

namespace driftless {
namespace {

class MobileOpsTest : public OpsTest {
 protected:
  void SetUp() override {
    OpsTest::SetUp();
    mobile = ops->mobile();
  }

  std::unique_ptr<MobileOps> mobile;
  std::unique_ptr<MobileOps> oracle = make_mobile_ops("reference");
};

TEST_P(MobileOpsTest, SamePaddingLiesBehindAtStride2OfEvenSizes) {
  // 4 pixels, kernel 3, stride 2: windows 0..2 and 2..4, so only the end is padded (TensorFlow);
  // padding of one on both sides, as torch has it, would give -1..1 and 1..3.
  const Tensor x = from({1, 4, 1}, {1, 10, 100, 1000});
  const Tensor weight = from({3, 3, 1}, {0, 0, 0, 1, 2, 3, 0, 0, 0});
  const Tensor y = arena.tensor({1, 2, 1});
  mobile->depthwise(x, weight, filled({1}, 0.5f), 2, MobileActivation::none, y);
  expect_close(from({1, 2, 1}, {321.5f, 2100.5f}), y);
}

TEST_P(MobileOpsTest, DepthwiseOfRaggedShapes) {
  const struct {
    int64_t h, w, c, kernel;
    int stride;
  } cases[] = {{5, 7, 16, 3, 1},  {8, 6, 24, 3, 2}, {7, 9, 72, 5, 2}, {1, 1, 88, 3, 1},
               {9, 16, 33, 5, 1}, {3, 4, 5, 3, 2},  {6, 6, 96, 7, 1}, {2, 3, 17, 5, 2}};
  for (const auto& c : cases) {
    const Tensor x = random({c.h, c.w, c.c}), weight = random({c.kernel, c.kernel, c.c});
    const Tensor bias = random({c.c});
    const Shape shape{(c.h + c.stride - 1) / c.stride, (c.w + c.stride - 1) / c.stride, c.c};
    for (const auto activation : {MobileActivation::relu, MobileActivation::hard_swish}) {
      const Tensor expected = arena.tensor(shape), got = arena.tensor(shape);
      oracle->depthwise(x, weight, bias, c.stride, activation, expected);
      mobile->depthwise(x, weight, bias, c.stride, activation, got);
      SCOPED_TRACE(x.shape().text() + " kernel " + std::to_string(c.kernel));
      expect_close(expected, got);
    }
  }
}

TEST_P(MobileOpsTest, PatchesLieSideBySideWithZerosOutside) {
  uint8_t pixels[] = {0, 51, 102, 255};
  const Tensor y = arena.tensor({1, 1, 9});
  mobile->patches(arena.copy(Tensor(DType::u8, {2, 2, 1}, pixels)), 3, 2, y);
  expect_close(from({1, 1, 9}, {0, 0.2f, 0, 0.4f, 1, 0, 0, 0, 0}), y);
}

TEST_P(MobileOpsTest, Activations) {
  const Tensor x = from({1, 7}, {-4, -3, -1, 0, 1, 3, 5}), y = arena.tensor({1, 7});
  mobile->activate(MobileActivation::hard_swish, x, y);
  expect_close(from({1, 7}, {0, 0, -1 / 3.0f, 0, 2 / 3.0f, 3, 5}), y);
  mobile->activate(MobileActivation::sigmoid, x, y);
  expect_close(from({1, 7}, {0.01798621f, 0.04742587f, 0.26894142f, 0.5f, 0.73105858f, 0.95257413f,
                             0.99330715f}),
               y);
  mobile->activate(MobileActivation::relu, y, y);
  EXPECT_NEAR(0.26894142f, y.f32()[2], 1e-6f);
}

TEST_P(MobileOpsTest, ChannelMeansAndScales) {
  for (const int64_t c : {3, 16, 24, 100}) {
    const Tensor x = random({5, 7, c}), addend = random({5, 7, c});
    const Tensor mean = arena.tensor({c}), expected_mean = arena.tensor({c});
    oracle->global_average(x, expected_mean);
    mobile->global_average(x, mean);
    expect_close(expected_mean, mean);
    const Tensor y = arena.tensor(x.shape()), expected = arena.tensor(x.shape());
    for (const Tensor& more : {addend, Tensor()}) {
      oracle->scale_channels(x, expected_mean, more, expected);
      mobile->scale_channels(x, expected_mean, more, y);
      expect_close(expected, y);
    }
  }
  const Tensor y = arena.tensor({1, 2, 1});
  mobile->scale_channels(from({1, 2, 1}, {1, 2}), from({1}, {3}), from({1, 2, 1}, {10, 20}), y);
  expect_close(from({1, 2, 1}, {13, 26}), y);
}

TEST_P(MobileOpsTest, TransposedConvolutionDoublesTheSize) {
  const Tensor small = arena.tensor({2, 4});
  mobile->transposed2(from({1, 2, 1}, {1, 10}), from({2, 2, 1}, {1, 2, 3, 4}), filled({1}, 0.5f),
                      MobileActivation::none, small);
  expect_close(from({2, 4}, {1.5f, 2.5f, 10.5f, 20.5f, 3.5f, 4.5f, 30.5f, 40.5f}), small);
  const Tensor x = random({3, 5, 16}), weight = random({2, 2, 16}), bias = random({1});
  const Tensor expected = arena.tensor({6, 10}), got = arena.tensor({6, 10});
  oracle->transposed2(x, weight, bias, MobileActivation::sigmoid, expected);
  mobile->transposed2(x, weight, bias, MobileActivation::sigmoid, got);
  expect_close(expected, got);
}

TEST_P(MobileOpsTest, WrongShapesAreNamed) {
  const Tensor x = random({4, 4, 16}), bias = random({16});
  const Tensor y = arena.tensor({2, 2, 16});
  expect_error(
      [&] {
        mobile->depthwise(x, random({3, 3, 8}), bias, 2, MobileActivation::none, y);
      },
      {"depthwise weight", "[3, 3, 16]", "[3, 3, 8]"});
  expect_error(
      [&] {
        mobile->depthwise(x, random({3, 3, 16}), bias, 1, MobileActivation::none, y);
      },
      {"depthwise output", "[4, 4, 16]", "[2, 2, 16]"});
  expect_error([&] { mobile->global_average(x, random({8})); }, {"[16]", "[8]"});
  expect_error([&] { make_mobile_ops("abacus"); }, {"backend", "abacus"});
}

DRIFTLESS_ON_ALL_BACKENDS(MobileOpsTest);

}  // namespace
}  // namespace driftless
