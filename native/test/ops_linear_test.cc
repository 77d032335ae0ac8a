#include "ops_test_support.h"

namespace driftless {
namespace {

class LinearTest : public OpsTest {
 protected:
  /// The definition, independent of every backend.
  Tensor expected_product(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    const Tensor y = arena.tensor({x.dim(0), weight.dim(0)});
    for (int64_t r = 0; r < x.dim(0); ++r) {
      for (int64_t o = 0; o < weight.dim(0); ++o) {
        double sum = bias.present() ? bias.f32()[o] : 0.0;
        for (int64_t i = 0; i < x.dim(1); ++i) {
          sum += double{x.f32()[r * x.dim(1) + i]} * weight.f32()[o * x.dim(1) + i];
        }
        y.f32()[r * weight.dim(0) + o] = static_cast<float>(sum);
      }
    }
    return y;
  }
};

TEST_P(LinearTest, ProductAndBiasAtRaggedSizes) {
  const int64_t sizes[][3] = {{1, 1, 1},      {5, 7, 3},    {13, 64, 33},   {30, 3001, 40},
                              {144, 192, 65}, {2, 301, 17}, {200, 1100, 20}};
  for (const auto& s : sizes) {
    const Tensor x = random({s[0], s[1]}), weight = random({s[2], s[1]}), bias = random({s[2]});
    const Tensor y = arena.tensor({s[0], s[2]});
    ops->linear(*ops->pack_linear(weight, bias), x, y);
    expect_close(expected_product(x, weight, bias), y);
    ops->linear(*ops->pack_linear(weight, Tensor()), x, y);
    expect_close(expected_product(x, weight, Tensor()), y);
  }
}

TEST_P(LinearTest, ActivationsFollowTheirFormulas) {
  const Tensor x = random({9, 20}), weight = random({21, 20}), bias = random({21});
  const Tensor plain = expected_product(x, weight, bias);
  const auto packed = ops->pack_linear(weight, bias);
  const auto check = [&](Activation activation, auto formula) {
    const Tensor expected = arena.tensor(plain.shape());
    for (int64_t i = 0; i < plain.count(); ++i) {
      expected.f32()[i] = static_cast<float>(formula(double{plain.f32()[i]}));
    }
    const Tensor y = arena.tensor(plain.shape());
    LinearEpilogue epilogue;
    epilogue.activation = activation;
    ops->linear(*packed, x, y, epilogue);
    expect_close(expected, y);
    ops->activate(activation, plain, y);
    expect_close(expected, y);
  };
  check(Activation::relu, [](double v) { return v > 0 ? v : 0; });
  check(Activation::silu, [](double v) { return v / (1 + std::exp(-v)); });
  check(Activation::gelu_tanh, [](double v) {
    return 0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
  });
}

TEST_P(LinearTest, GateIsPickedPerGroupAndResidualMayBeTheOutput) {
  const int64_t rows = 6, out = 11;
  const Tensor x = random({rows, 10}), weight = random({out, 10}), bias = random({out});
  const Tensor residual = random({rows, out}), modulation = random({2, 6, out});
  const Tensor plain = expected_product(x, weight, bias);
  const Tensor expected = arena.tensor({rows, out});
  for (int64_t i = 0; i < expected.count(); ++i) {
    const int64_t group = i / out / 3;
    const float gate = modulation.f32()[(group * 6 + 2) * out + i % out];
    expected.f32()[i] = residual.f32()[i] + gate * plain.f32()[i];
  }
  LinearEpilogue epilogue;
  epilogue.residual = residual;
  epilogue.gate = {modulation.f32() + 2 * out, 2, 6 * out};
  ops->linear(*ops->pack_linear(weight, bias), x, residual, epilogue);
  expect_close(expected, residual);
}

TEST_P(LinearTest, ResidualAloneIsAdded) {
  const Tensor x = random({4, 5}), weight = random({6, 5}), residual = random({4, 6});
  const Tensor expected = expected_product(x, weight, Tensor());
  ops->axpby(1.0f, expected, 1.0f, residual, expected);
  const Tensor y = arena.tensor({4, 6});
  LinearEpilogue epilogue;
  epilogue.residual = residual;
  ops->linear(*ops->pack_linear(weight, Tensor()), x, y, epilogue);
  expect_close(expected, y);
}

TEST_P(LinearTest, ResultDoesNotDependOnTheNumberOfRows) {
  // Sessions share a batch: nobody's numbers may depend on who else is in it. The width is one that
  // the cpu backend goes through in several blocks.
  const Tensor x = random({40, 1201}), weight = random({75, 1201}), bias = random({75});
  const Tensor residual = random({40, 75}), gates = random({4, 75});
  for (const char* dtype : {"f32", "auto"}) {
    ops = make(dtype);
    const auto packed = ops->pack_linear(weight, bias);
    const Tensor all = arena.tensor({40, 75});
    LinearEpilogue epilogue;
    epilogue.activation = Activation::gelu_tanh;
    epilogue.residual = residual;
    epilogue.gate = {gates.f32(), 4, 75};
    ops->linear(*packed, x, all, epilogue);
    for (const int64_t rows : {1, 10}) {
      const Tensor part = arena.tensor({rows, 75});
      epilogue.residual = residual.slice(20, 20 + rows);
      epilogue.gate = {gates.f32() + 2 * 75, 1, 75};
      ops->linear(*packed, x.slice(20, 20 + rows), part, epilogue);
      expect_close(all.slice(20, 20 + rows), part, 0.0);
    }
  }
}

TEST_P(LinearTest, WrongShapesNameExpectedAndGot) {
  const Tensor weight = random({6, 5}), x = random({4, 5}), y = arena.tensor({4, 6});
  const auto packed = ops->pack_linear(weight, Tensor());
  expect_error([&] { ops->linear(*packed, random({4, 7}), y); }, {"linear input width", "5", "7"});
  expect_error([&] { ops->linear(*packed, x, random({4, 5})); }, {"output", "[4, 6]", "[4, 5]"});
  expect_error([&] { ops->pack_linear(weight, random({5})); }, {"bias", "[6]", "[5]"});
  expect_error([&] { ops->pack_linear(random({6}), Tensor()); }, {"weight", "2", "1"});
  expect_error([&] { ops->linear(*packed, Tensor(), y); }, {"linear input", "absent"});
  LinearEpilogue epilogue;
  epilogue.residual = y;
  epilogue.gate = {weight.f32(), 3, 6};
  expect_error([&] { ops->linear(*packed, x, y, epilogue); }, {"gate groups", "4 rows", "3"});
  const Tensor integers(DType::i32, x.shape(), x.data());
  expect_error([&] { ops->linear(*packed, integers, y); }, {"dtype", "f32", "i32"});
}

TEST_P(LinearTest, WeightsOfAnotherBackendAreRefused) {
  const auto other = make_ops(GetParam() == "cpu" ? "reference" : "cpu");
  const auto packed = other->pack_linear(random({6, 5}), Tensor());
  expect_error(
      [&] {
        ops->linear(*packed, random({4, 5}), arena.tensor({4, 6}));
      },
      {"packed weights", GetParam()});
}

DRIFTLESS_ON_ALL_BACKENDS(LinearTest);

TEST(MakeOps, UnknownBackendAndThreadCountAreRefused) {
  expect_error([] { make_ops("cuda"); }, {"backend", "cpu", "cuda"});
  expect_error([] { make_ops("cpu", 0); }, {"threads", "at least 1", "0"});
}

}  // namespace
}  // namespace driftless
