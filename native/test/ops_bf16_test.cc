// The cpu backend in bf16. Products of bf16 factors are exact in f32, so with inputs that are bf16
// already it must give the oracle's numbers; only the order of sums differs.

#include "ops/cpu_ops.h"
#include "ops/cpu_tiles.h"
#include "ops/words.h"
#include "ops_test_support.h"

namespace driftless {
namespace {

TEST(Bf16, RoundsToTheNearestEven) {
  EXPECT_EQ(bf16_bits(1.0f), 0x3F80u);
  EXPECT_EQ(bf16_bits(1.0f + 1.0f / 256), 0x3F80u);  // halfway, down to even
  EXPECT_EQ(bf16_bits(1.0f + 3.0f / 256), 0x3F82u);  // halfway, up to even
  EXPECT_EQ(bf16_bits(-1.0f - 1.1f / 256), 0xBF81u);
  EXPECT_EQ(bf16_pair(1.0f, -2.0f), 0xC0003F80u);
}

TEST(Bf16, AWordForEachPairAndZeroBesideAnOddLastValue) {
  std::vector<float> values(37);
  fill_normal(1, 1, 0, values.data(), values.size());
  std::vector<uint32_t> words(19, 0xFFFFFFFF);
  to_words(WordType::bf16, values.data(), 37, words.data());
  for (size_t i = 0; i < 18; ++i) EXPECT_EQ(words[i], bf16_pair(values[2 * i], values[2 * i + 1]));
  EXPECT_EQ(words[18], bf16_bits(values[36]));
}

TEST(Bf16, ProcessorsWithoutItAreToldSo) {
  if (kHasBf16 || tile_kernels() != nullptr) {
    EXPECT_EQ(make_ops("cpu", 1, "bf16")->dtype(), DType::bf16);
    // Vector products of bf16 are slower than those of f32 on Intel's.
    const bool fast = tile_kernels() != nullptr || !__builtin_cpu_is("intel");
    EXPECT_EQ(make_ops("cpu", 1, "auto")->dtype(), fast ? DType::bf16 : DType::f32);
  } else {
    expect_error([] { make_ops("cpu", 1, "bf16"); }, {"dtype", "AVX512_BF16", "bf16"});
    EXPECT_EQ(make_ops("cpu", 1, "auto")->dtype(), DType::f32);
  }
  EXPECT_EQ(make_ops("cpu")->dtype(), DType::f32);
  EXPECT_EQ(make_ops("reference", 1, "auto")->dtype(), DType::f32);
  expect_error([] { make_ops("cpu", 1, "f64"); }, {"dtype", "auto", "f64"});
}

/// With AMX tiles and with vector instructions.
class Bf16Ops : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    const bool tiles = GetParam();
    if (tiles && tile_kernels() == nullptr) GTEST_SKIP() << "no AMX here";
    if (!tiles && !kHasBf16) GTEST_SKIP() << "this build has no bf16 products";
    oracle = make_ops("reference");
    ops = std::make_unique<CpuOps>(1, tiles ? *tile_kernels() : vector_kernels(WordType::bf16));
  }
  /// Normal values that bf16 holds exactly.
  Tensor random(Shape shape) {
    const Tensor tensor = arena.tensor(shape);
    fill_normal(7, ++stream, 0, tensor.f32(), static_cast<size_t>(tensor.count()));
    for (int64_t i = 0; i < tensor.count(); ++i) {
      const uint32_t bits = bf16_bits(tensor.f32()[i]) << 16;
      std::memcpy(tensor.f32() + i, &bits, sizeof bits);
    }
    return tensor;
  }

  Tensor filled(Shape shape, float value) {
    const Tensor tensor = arena.tensor(shape);
    std::fill(tensor.f32(), tensor.f32() + tensor.count(), value);
    return tensor;
  }

  std::unique_ptr<Ops> oracle, ops;
  Arena arena;
  uint64_t stream = 0;
};

INSTANTIATE_TEST_SUITE_P(Kernels, Bf16Ops, ::testing::Values(true, false), [](const auto& info) {
  return std::string(info.param ? "Tiles" : "Vectors");
});

TEST_P(Bf16Ops, LinearLayersAtRaggedSizes) {
  const int64_t sizes[][3] = {{1, 1, 1},      {5, 7, 3},       {23, 64, 100},
                              {13, 2049, 17}, {225, 1100, 40}, {30, 3001, 40}};
  for (const auto& s : sizes) {
    const Tensor x = random({s[0], s[1]}), weight = random({s[2], s[1]}), bias = random({s[2]});
    const Tensor expected = arena.tensor({s[0], s[2]}), y = arena.tensor({s[0], s[2]});
    LinearEpilogue epilogue;
    epilogue.activation = Activation::silu;
    epilogue.residual = random({s[0], s[2]});
    oracle->linear(*oracle->pack_linear(weight, bias), x, expected, epilogue);
    ops->linear(*ops->pack_linear(weight, bias), x, y, epilogue);
    expect_close(expected, y);
  }
}

TEST_P(Bf16Ops, RowsDoNotDependOnTheirCompany) {
  // Gates change in the middle of a group of rows; a row alone takes the path of a remainder.
  const int64_t rows = 3 * 37, in = 600, out = 50;
  const Tensor x = random({rows, in}), weight = random({out, in}), gates = random({3, out});
  const auto packed = ops->pack_linear(weight, Tensor());
  const Tensor together = arena.tensor({rows, out}), alone = arena.tensor({1, out});
  LinearEpilogue epilogue;
  const Tensor residual = random({rows, out});
  epilogue.residual = residual;
  epilogue.gate = {gates.f32(), 3, out};
  ops->linear(*packed, x, together, epilogue);
  for (const int64_t row : {int64_t{0}, int64_t{36}, int64_t{37}, rows - 1}) {
    epilogue.gate = {gates.f32() + row / 37 * out, 1, out};
    epilogue.residual = Tensor({1, out}, residual.f32() + row * out);
    ops->linear(*packed, Tensor({1, in}, x.f32() + row * in), alone, epilogue);
    EXPECT_EQ(0, std::memcmp(together.f32() + row * out, alone.f32(), sizeof(float) * out)) << row;
  }
}

TEST_P(Bf16Ops, NothingBesideAnInputReachesTheSums) {
  // Scratch memory full of NaN: what is read beyond a ragged end must not count.
  const float nan = std::nanf("");
  const Tensor poison = filled({192, 700}, nan), out = arena.tensor({192, 300});
  ops->linear(*ops->pack_linear(random({300, 700}), Tensor()), poison, out, {});
  ConvOptions options;
  const Tensor x = random({1, 5, 9, 6}), weight = random({20, 6, 3, 3}), bias = random({20});
  const Tensor expected = arena.tensor({1, 5, 9, 20}), y = arena.tensor(expected.shape());
  oracle->conv2d(*oracle->pack_conv(weight, bias, options), x, Tensor(), Tensor(), Activation::none,
                 expected);
  ops->conv2d(*ops->pack_conv(weight, bias, options), x, Tensor(), Tensor(), Activation::none, y);
  expect_close(expected, y);
  const Tensor narrow = random({3, 10}), wide = random({7, 10});
  const Tensor wanted = arena.tensor({3, 7}), found = arena.tensor({3, 7});
  oracle->linear(*oracle->pack_linear(wide, Tensor()), narrow, wanted, {});
  ops->linear(*ops->pack_linear(wide, Tensor()), narrow, found, {});
  expect_close(wanted, found);
  // Keys that fill no whole step, and queries that fill more than one tile.
  const int64_t queries = 37, keys = 144 + 3, dim = 40;
  ops->linear(*ops->pack_linear(random({300, 700}), Tensor()), poison, out, {});
  const Tensor q = random({queries, 1, dim}), k = random({keys, 1, dim}),
               v = random({keys, 1, dim});
  const Tensor attended = arena.tensor(q.shape()), actual = arena.tensor(q.shape());
  AttentionRow row = {q.f32(), k.f32(), v.f32(), attended.f32(), queries, keys};
  oracle->attention(&row, 1, 1, dim, 0.158f);
  row.out = actual.f32();
  ops->attention(&row, 1, 1, dim, 0.158f);
  expect_close(attended, actual, 0.01);
}

TEST_P(Bf16Ops, Convolutions) {
  struct Case {
    int64_t kernel, first, second, out;
    int stride;
    bool up;
  };
  // The third case has an odd channel number, which stays f32. Enlarged convolutions add weights
  // before they are rounded, so the last case's tolerance is bf16's.
  for (const Case& c :
       {Case{3, 12, 0, 24, 1, false}, Case{3, 16, 6, 70, 2, false}, Case{3, 3, 0, 5, 1, false},
        Case{1, 6, 0, 33, 1, false}, Case{3, 8, 0, 12, 1, true}}) {
    ConvOptions options;
    options.stride = c.stride;
    options.upsample2 = c.up;
    options.second_input_channels = c.second;
    const Tensor x = random({2, 7, 9, c.first}), residual = Tensor();
    const Tensor x2 = c.second > 0 ? random({2, 7, 9, c.second}) : Tensor();
    const Tensor weight = random({c.out, c.first + c.second, c.kernel, c.kernel});
    const Tensor bias = random({c.out});
    const int64_t h = c.up ? 14 : (7 + c.stride - 1) / c.stride;
    const int64_t w = c.up ? 18 : (9 + c.stride - 1) / c.stride;
    const Tensor expected = arena.tensor({2, h, w, c.out}), y = arena.tensor(expected.shape());
    oracle->conv2d(*oracle->pack_conv(weight, bias, options), x, x2, residual, Activation::relu,
                   expected);
    ops->conv2d(*ops->pack_conv(weight, bias, options), x, x2, residual, Activation::relu, y);
    expect_close(expected, y, c.up ? 0.03 : 1e-5);
  }
}

TEST_P(Bf16Ops, AttentionWeightsAreRounded) {
  // Weights 0..1 are rounded to 8 bits: half a unit in the last place is 2^-9 of each.
  for (const int64_t keys : {int64_t{1}, int64_t{17}, int64_t{300}}) {
    const int64_t queries = 15, heads = 3, dim = 40;
    const Tensor q = random({queries, heads, dim}), k = random({keys, heads, dim});
    const Tensor v = random({keys, heads, dim});
    const Tensor expected = arena.tensor(q.shape()), y = arena.tensor(q.shape());
    AttentionRow row = {q.f32(), k.f32(), v.f32(), expected.f32(), queries, keys};
    oracle->attention(&row, 1, heads, dim, 0.158f);
    row.out = y.f32();
    ops->attention(&row, 1, heads, dim, 0.158f);
    expect_close(expected, y, 0.01);
  }
}

}  // namespace
}  // namespace driftless
