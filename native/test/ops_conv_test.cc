#include "ops_test_support.h"

namespace driftless {
namespace {

struct ConvCase {
  int64_t n, h, w, in, out, kernel;
  int stride;
  bool upsample2;
  int64_t second;
};

class ConvTest : public OpsTest {
 protected:
  /// Convolution from its definition on explicitly enlarged and concatenated pictures.
  Tensor expected_conv(const ConvCase& c, const Tensor& x, const Tensor& x2, const Tensor& weight,
                       const Tensor& bias) {
    const int64_t up = c.upsample2 ? 2 : 1, h = c.h * up, w = c.w * up;
    const int64_t oh = (h + c.stride - 1) / c.stride, ow = (w + c.stride - 1) / c.stride;
    const Tensor y = arena.zeros({c.n, oh, ow, c.out});
    for (int64_t i = 0; i < y.count(); ++i) {
      const int64_t o = i % c.out, col = i / c.out % ow, row = i / c.out / ow % oh;
      const int64_t n = i / c.out / ow / oh;
      double sum = bias.present() ? bias.f32()[o] : 0.0;
      for (int64_t ky = 0; ky < c.kernel; ++ky) {
        for (int64_t kx = 0; kx < c.kernel; ++kx) {
          const int64_t sy = row * c.stride + ky - c.kernel / 2;
          const int64_t sx = col * c.stride + kx - c.kernel / 2;
          if (sy < 0 || sy >= h || sx < 0 || sx >= w) continue;
          const int64_t pixel = (n * c.h + sy / up) * c.w + sx / up;
          for (int64_t channel = 0; channel < c.in; ++channel) {
            const int64_t first = c.in - c.second;
            const float value = channel < first ? x.f32()[pixel * first + channel]
                                                : x2.f32()[pixel * c.second + channel - first];
            sum += double{value} *
                   weight.f32()[((o * c.in + channel) * c.kernel + ky) * c.kernel + kx];
          }
        }
      }
      y.f32()[i] = static_cast<float>(sum);
    }
    return y;
  }

  void check(const ConvCase& c) {
    SCOPED_TRACE("n " + std::to_string(c.n) + " " + std::to_string(c.h) + "x" +
                 std::to_string(c.w) + " " + std::to_string(c.in) + "->" + std::to_string(c.out) +
                 " k" + std::to_string(c.kernel) + " s" + std::to_string(c.stride) +
                 (c.upsample2 ? " up" : "") + " second " + std::to_string(c.second));
    const Tensor x = random({c.n, c.h, c.w, c.in - c.second});
    const Tensor x2 = c.second > 0 ? random({c.n, c.h, c.w, c.second}) : Tensor();
    const Tensor weight = random({c.out, c.in, c.kernel, c.kernel}), bias = random({c.out});
    ConvOptions options;
    options.stride = c.stride;
    options.upsample2 = c.upsample2;
    options.second_input_channels = c.second;

    const Tensor expected = expected_conv(c, x, x2, weight, bias);
    const Tensor y = arena.tensor(expected.shape());
    ops->conv2d(*ops->pack_conv(weight, bias, options), x, x2, Tensor(), Activation::none, y);
    expect_close(expected, y);

    const Tensor residual = random(expected.shape());
    const Tensor sum = expected_conv(c, x, x2, weight, Tensor());
    for (int64_t i = 0; i < sum.count(); ++i) {
      sum.f32()[i] = std::max(0.0f, sum.f32()[i] + residual.f32()[i]);
    }
    const auto packed = ops->pack_conv(weight, Tensor(), options);
    ops->conv2d(*packed, x, x2, residual, Activation::relu, residual);
    expect_close(sum, residual);
  }
};

TEST_P(ConvTest, PlainAtRaggedSizes) {
  check({1, 1, 1, 1, 1, 3, 1, false, 0});
  check({2, 5, 7, 3, 12, 3, 1, false, 0});
  check({1, 9, 13, 24, 24, 3, 1, false, 0});
  check({3, 4, 6, 16, 33, 3, 1, false, 0});
  check({1, 2, 3, 5, 49, 3, 1, false, 0});
  check({2, 6, 5, 7, 9, 1, 1, false, 0});
}

TEST_P(ConvTest, StrideTwoOnEvenAndOddPictures) {
  check({2, 8, 12, 6, 16, 3, 2, false, 0});
  check({1, 7, 9, 6, 10, 3, 2, false, 0});
  check({1, 5, 6, 4, 8, 1, 2, false, 0});
}

TEST_P(ConvTest, TwoInputsEqualTheirConcatenation) {
  check({2, 6, 8, 32, 16, 3, 1, false, 16});
  check({1, 5, 4, 9, 24, 3, 1, false, 2});
  check({1, 5, 4, 9, 7, 1, 1, false, 4});
}

TEST_P(ConvTest, FramesEqualTheirConcatenation) {
  for (const int64_t t : {2, 3}) {
    for (const int64_t n : {1, 2, 5}) {
      SCOPED_TRACE(std::to_string(n) + " frames, " + std::to_string(t) + " at once");
      const int64_t h = 5, w = 7, in = 4, out = 6;
      // The frames before and the frames themselves, one after another.
      const Tensor all = random({t - 1 + n, h, w, in});
      const Tensor x = arena.copy(all.slice(t - 1, t - 1 + n));
      const Tensor past = arena.copy(all.slice(0, t - 1));
      const Tensor joined = arena.tensor({n, h, w, t * in});
      for (int64_t i = 0; i < joined.count(); ++i) {
        const int64_t channel = i % (t * in), pixel = i / (t * in) % (h * w);
        const int64_t frame = i / (t * in * h * w) + channel / in;
        joined.f32()[i] = all.f32()[(frame * h * w + pixel) * in + channel % in];
      }
      const Tensor weight = random({out, t * in, 3, 3}), bias = random({out});
      const Tensor residual = random({n, h, w, out});
      const Tensor expected = arena.tensor(residual.shape()), y = arena.tensor(residual.shape());
      ops->conv2d(*ops->pack_conv(weight, bias), joined, {}, residual, Activation::relu, expected);
      ConvOptions options;
      options.frames = t;
      const auto packed = ops->pack_conv(weight, bias, options);
      ops->conv_frames(*packed, x, past, residual, Activation::relu, y);
      expect_close(expected, y, 1e-4);
      expect_error([&] { ops->conv_frames(*packed, x, residual, residual, Activation::none, y); },
                   {"conv_frames past shape", past.shape().text(), residual.shape().text()});
    }
  }
}

TEST_P(ConvTest, UpsampledInput) {
  check({1, 1, 1, 2, 3, 3, 1, true, 0});
  check({2, 5, 7, 8, 24, 3, 1, true, 0});
  check({1, 9, 4, 6, 5, 3, 1, true, 2});
  check({1, 3, 4, 6, 5, 1, 1, true, 0});
}

TEST_P(ConvTest, WrongShapesNameExpectedAndGot) {
  const auto packed = ops->pack_conv(random({8, 4, 3, 3}), Tensor());
  const Tensor x = random({1, 6, 6, 4}), y = arena.tensor({1, 6, 6, 8});
  const auto run = [&](const Tensor& in, const Tensor& second, const Tensor& out,
                       Activation activation = Activation::none) {
    ops->conv2d(*packed, in, second, Tensor(), activation, out);
  };
  expect_error([&] { run(random({1, 6, 6, 5}), Tensor(), y); }, {"channels", "4", "5"});
  expect_error([&] { run(x, Tensor(), random({1, 6, 5, 8})); }, {"output", "[1, 6, 6, 8]", "5"});
  expect_error([&] { run(x, x, y); }, {"second input", "none", "[1, 6, 6, 4]"});
  expect_error([&] { run(x, Tensor(), y, Activation::silu); }, {"activation", "relu"});
  expect_error([&] { ops->pack_conv(random({8, 4, 5, 5}), Tensor()); }, {"1x1 or 3x3", "5x5"});
  ConvOptions stride;
  stride.stride = 3;
  expect_error(
      [&] {
        ops->pack_conv(random({8, 4, 3, 3}), Tensor(), stride);
      },
      {"stride", "1 or 2", "3"});
}

DRIFTLESS_ON_ALL_BACKENDS(ConvTest);

}  // namespace
}  // namespace driftless
