// Values of 16 and of 8 bits in the CUDA backend, on the emulated device.

#include "cuda_ops_test_support.h"
#include "emulation/cuda_runtime.h"
#include "ops/cuda/platform.cuh"

namespace driftless {
namespace {

// What lies between an autoencoder's layers is of 16 bits.
class SixteenBits : public CudaOps, public testing::WithParamInterface<CudaPrecision> {
 protected:
  /// Operations of the precision at hand, whose products the library does or does not.
  std::unique_ptr<Ops> make_narrow(bool library = false) { return make(GetParam(), library); }
  DType dtype() const { return GetParam() == CudaPrecision::f16 ? DType::f16 : DType::bf16; }
};
INSTANTIATE_TEST_SUITE_P(Precisions, SixteenBits,
                         testing::Values(CudaPrecision::bf16, CudaPrecision::f16),
                         [](const auto& item) {
                           return item.param == CudaPrecision::f16 ? "f16" : "bf16";
                         });

TEST_P(SixteenBits, PicturesOfSixteenBits) {
  const auto ops = make_narrow();
  const auto narrow = [&](const Tensor& values) { return rounded(*ops, values); };
  const auto expect_like = [&](const Tensor& expected, const Tensor& y) {
    const Tensor values = arena.tensor(y.shape());
    ops->convert(y, values);
    expect_close(expected, values, 2e-2);
  };
  struct Case {
    int64_t in, out, second = 0;
    int stride = 1;
    bool upsample2 = false;
    int64_t frames = 1;
  };
  // Channels that come in eights, and others.
  for (const Case& c : {Case{16, 24}, Case{16, 24, 8}, Case{8, 3}, Case{6, 10}, Case{16, 8, 0, 2},
                        Case{16, 24, 0, 1, true}, Case{5, 6, 0, 1, true},
                        Case{8, 16, 0, 1, false, 2}, Case{5, 4, 0, 1, false, 3}}) {
    SCOPED_TRACE(testing::Message() << c.in << " and " << c.second << " to " << c.out << ", stride "
                                    << c.stride << ", frames " << c.frames);
    ConvOptions options;
    options.second_input_channels = c.second;
    options.stride = c.stride;
    options.upsample2 = c.upsample2;
    options.frames = c.frames;
    const int64_t n = 3, h = 6, w = 10, up = c.upsample2 ? 2 : 1;
    const Shape out = {n, h * up / c.stride, w * up / c.stride, c.out};
    const Tensor x = random({n, h, w, c.in}), narrow_x = narrow(x);
    const int64_t others = c.frames > 1 ? c.in : c.second;
    const Tensor x2 = random({c.frames > 1 ? c.frames - 1 : n, h, w, std::max<int64_t>(1, others)});
    const Tensor narrow_x2 = narrow(x2);
    const int64_t depth = c.frames * c.in + c.second;
    const Tensor weight = random({c.out, depth, 3, 3}, 0.3f / std::sqrt(float(depth)));
    const Tensor bias = random({c.out}), residual = random(out), narrow_residual = narrow(residual);
    const auto run = [&](Ops& backend, const Tensor& from, const Tensor& other, const Tensor& add,
                         const Tensor& y) {
      const auto packed = backend.pack_conv(weight, bias, options);
      if (c.frames > 1) {
        backend.conv_frames(*packed, from, other, add, Activation::relu, y);
      } else {
        backend.conv2d(*packed, from, c.second > 0 ? other : Tensor(), add, Activation::relu, y);
      }
    };
    const Tensor expected = arena.tensor(out), wide = arena.tensor(out);
    const Tensor y = arena.tensor(out, dtype());
    run(*reference, x, x2, residual, expected);
    run(*ops, narrow_x, narrow_x2, narrow_residual, y);
    expect_like(expected, y);
    run(*ops, x, x2, narrow_residual, y);
    expect_like(expected, y);
    run(*ops, narrow_x, narrow_x2, residual, wide);
    expect_close(expected, wide, 1e-2);
    expect_error([&] { run(*ops, narrow_x, narrow_x2, residual, y); },
                 {"conv residual dtype", dtype_name(dtype())});
  }
  const Tensor x = random({4, 3, 5, 8}), narrow_x = narrow(x);
  const auto moved = [&](Shape shape, const auto& move) {
    const Tensor expected = arena.tensor(shape), y = arena.tensor(shape, dtype());
    move(*reference, x, expected);
    move(*ops, narrow_x, y);
    expect_like(expected, y);
  };
  moved({4, 6, 10, 8},
        [](Ops& backend, const Tensor& from, const Tensor& to) { backend.upsample2(from, to); });
  moved({2, 3, 5, 16}, [](Ops& backend, const Tensor& from, const Tensor& to) {
    backend.frames_to_channels(from, to);
  });
  moved({8, 3, 5, 4}, [](Ops& backend, const Tensor& from, const Tensor& to) {
    backend.channels_to_frames(from, to);
  });
  moved(x.shape(), [](Ops& backend, const Tensor& from, const Tensor& to) {
    backend.activate(Activation::relu, from, to);
  });
  moved(x.shape(), [](Ops& backend, const Tensor& from, const Tensor& to) {
    backend.tanh_clamp(from, 3, to);
  });
}

// What passes between a block's linear layers is of 16 bits, without an f32 copy in between.
TEST_P(SixteenBits, TokensOfSixteenBits) {
  const int64_t rows = 34, in = 40, out = 24;
  const Tensor wide = random({rows, in}), x = arena.tensor({rows, in}, dtype());
  const Tensor weight = random({out, in}, 0.15f), bias = random({out}), gate = random({2, out});
  const Tensor residual = random({rows, out}), norm = random({in});
  const auto plain = reference->pack_linear(weight, bias);
  for (const bool library : {true, false}) {
    SCOPED_TRACE(library);
    const auto ops = make_narrow(library);
    ASSERT_EQ(dtype(), ops->token_dtype());
    const auto packed = ops->pack_linear(weight, bias);
    const auto read = [&](const Tensor& tokens) {
      const Tensor values = arena.tensor(tokens.shape());
      ops->convert(tokens, values);
      return values;
    };
    ops->convert(wide, x);
    const Tensor rounded = read(x);
    const Tensor y = arena.tensor({rows, out}, dtype()), expected = arena.tensor({rows, out});
    LinearEpilogue epilogue;
    for (const Activation activation :
         {Activation::none, Activation::gelu_tanh, Activation::silu}) {
      epilogue.activation = activation;
      reference->linear(*plain, rounded, expected, epilogue);
      ops->linear(*packed, x, y, epilogue);
      expect_close(expected, read(y), 3e-2);
    }
    expect_error([&] { ops->linear(*packed, wide, y); },
                 {"linear input dtype", dtype_name(dtype()), "f32"});
    epilogue = {Activation::none, residual, {gate.f32(), 2, out}};
    expect_error([&] { ops->linear(*packed, x, y, epilogue); },
                 {"linear residual", dtype_name(dtype())});
    reference->linear(*plain, rounded, expected, epilogue);
    epilogue.residual = arena.copy(residual);
    ops->linear(*packed, x, epilogue.residual, epilogue);
    expect_close(expected, epilogue.residual, 3e-2);

    const Tensor normed = arena.tensor(x.shape(), dtype()), same = arena.tensor(x.shape());
    ops->layer_norm(wide, norm, norm, {}, {}, 1e-6f, normed);
    reference->layer_norm(wide, norm, norm, {}, {}, 1e-6f, same);
    expect_close(same, read(normed), 3e-2);
    ops->rms_norm(x, norm, 1e-6f, normed);
    reference->rms_norm(rounded, norm, 1e-6f, same);
    expect_close(same, read(normed), 3e-2);
    expect_error([&] { ops->rms_norm(x, norm, 1e-6f, same); },
                 {"rms_norm output dtype", dtype_name(dtype())});
    const double position = 5;
    const Shape grid{1, rows, 2, in / 2};
    ops->rope3d(x.reshape(grid), &position, 2, rows / 2, normed.reshape(grid));
    reference->rope3d(rounded.reshape(grid), &position, 2, rows / 2, same.reshape(grid));
    expect_close(same, read(normed), 3e-2);

    const Tensor keys = random({70, in});
    const AttentionRow row = {x.data(), keys.f32(), keys.f32(), normed.data(),
                              rows,     70,         DType::f32, dtype()};
    ops->attention(&row, 1, 2, in / 2, 0.2f);
    const AttentionRow oracle = {rounded.f32(), keys.f32(), keys.f32(), same.f32(), rows, 70};
    reference->attention(&oracle, 1, 2, in / 2, 0.2f);
    expect_close(same, read(normed), 3e-2);
  }
  EXPECT_EQ(std::vector<std::string>(), recorded_calls().problems);
  const bool half = dtype() == DType::f16;
  const auto other = make(half ? CudaPrecision::bf16 : CudaPrecision::f16, false);
  expect_error([&] { other->linear(*other->pack_linear(weight, bias), x, residual); },
               {"linear input dtype", half ? "bf16" : "f16", dtype_name(dtype())});
}

// A chunk of 16 bits into rings of 16 bits, one of them with anchors that are due.
TEST_P(SixteenBits, AppendsTokensOfSixteenBits) {
  const int64_t tokens = 6, heads = 2, head_dim = 12, d = heads * head_dim, slots = 3;
  const Shape shape{slots, tokens, heads, head_dim};
  const auto ops = make_narrow();
  const auto rounded = [&](const Tensor& values) { return CudaOps::rounded(*ops, values); };
  const Tensor q = random({2 * tokens, d}), k = random({2 * tokens, d}),
               v = random({2 * tokens, d});
  const RingNorms norms{random({d}), random({d}), 1e-6f};
  RingRow rows[2], expected[2];
  for (int r = 0; r < 2; ++r) {
    expected[r] = {{random(shape), random(shape), 1}, random(shape), 1 + 4 * r, 0.99f, r == 1};
    rows[r] = expected[r];
    for (Tensor RingLayer::*part : {&RingLayer::k, &RingLayer::v}) {
      rows[r].ring.*part = rounded(expected[r].ring.*part);
    }
    rows[r].rotated = rounded(expected[r].rotated);
  }
  const Tensor q16 = rounded(q), k16 = rounded(k), v16 = rounded(v);
  ops->append_to_rings(q16, k16, v16, norms, 2, 3, rows, 2);
  reference->append_to_rings(q, k, v, norms, 2, 3, expected, 2);
  const auto expect_same = [&](const Tensor& values, const Tensor& got) {
    const Tensor wide = arena.tensor(got.shape());
    ops->convert(got, wide);
    expect_close(values, wide, 3e-2);
  };
  expect_same(q, q16);
  for (int r = 0; r < 2; ++r) {
    expect_same(expected[r].ring.k, rows[r].ring.k);
    expect_same(expected[r].ring.v, rows[r].ring.v);
    const int64_t valid = r == 0 ? 2 : slots;
    expect_same(expected[r].rotated.slice(0, valid), rows[r].rotated.slice(0, valid));
  }
  rows[0].sink_due = true;
  expect_error([&] { ops->append_to_rings(q16, k16, v16, norms, 2, 3, rows, 2); },
               {"frames of a due row", "3 or more", "1"});
  // Rings of 8 bits are for who asked for them, and take room for values.
  rows[0].sink_due = false;
  for (RingRow& row : rows) {
    row.ring.k = arena.tensor(shape, DType::e4m3);
    row.ring.v = arena.tensor(shape, DType::e4m3);
  }
  expect_error([&] { ops->append_to_rings(q16, k16, v16, norms, 2, 3, rows, 2); },
               {"ring dtype", dtype_name(dtype()), "e4m3"});
  if (dtype() == DType::f16) return;  // Narrow rings go with bf16.
  const auto narrow = make(CudaPrecision::fp8_kv, false);
  EXPECT_STREQ("fp8-kv", narrow->precision());
  EXPECT_EQ(DType::e4m3, narrow->ring_dtype());
  expect_error([&] { narrow->append_to_rings(q16, k16, v16, norms, 2, 3, rows, 2); },
               {"values present"});
  for (RingRow& row : rows) row.values = arena.tensor(shape, DType::bf16);
  expect_error([&] { narrow->append_to_rings(q, k, v, norms, 2, 3, rows, 2); },
               {"narrow rings", "bf16", "f32"});
  narrow->append_to_rings(q16, k16, v16, norms, 2, 3, rows, 2);
}

TEST_F(CudaOps, NumbersOfEightBits) {
  for (int bits = 0; bits < 256; ++bits) {
    const cuda::e4m3 number{static_cast<unsigned char>(bits)};
    const float value = cuda::to_float(number);
    if ((bits & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(value));
      continue;
    }
    EXPECT_EQ(bits, cuda::from_float<cuda::e4m3>(value).bits) << value;
    if ((bits & 0x7f) >= 0x7e) continue;
    // Halfway to the next larger one: to the even one.
    const float next = cuda::to_float(cuda::e4m3{static_cast<unsigned char>(bits + 1)});
    const int even = bits % 2 == 0 ? bits : bits + 1;
    EXPECT_EQ(even, cuda::from_float<cuda::e4m3>((value + next) / 2).bits) << value;
  }
  EXPECT_EQ(1.0f, cuda::to_float(cuda::e4m3{0x38}));
  EXPECT_EQ(448.0f, cuda::to_float(cuda::e4m3{0x7e}));
  EXPECT_EQ(std::ldexp(1.0f, -9), cuda::to_float(cuda::e4m3{1}));
  EXPECT_EQ(448.0f, cuda::to_float(cuda::from_float<cuda::e4m3>(1e6f)));
  EXPECT_EQ(-448.0f, cuda::to_float(cuda::from_float<cuda::e4m3>(-INFINITY)));
}

// Bulk weights in 8 bits: by the library with tokens of 8 bits, by our own kernel with tokens
// of 16.
TEST_F(CudaOps, BulkWeightsOfEightBits) {
  const int64_t rows = 21, in = 64, out = 48;
  const Tensor wide = random({rows, in}), x = arena.tensor({rows, in}, DType::bf16);
  const Tensor weight = random({out, in}, 0.12f), bias = random({out}), gate = random({out});
  const Tensor residual = random({rows, out});
  // The weights as they are kept.
  float largest = 0;
  for (int64_t i = 0; i < weight.count(); ++i) {
    largest = std::max(largest, std::abs(weight.f32()[i]));
  }
  const float scale = largest / 448;
  const Tensor kept = arena.copy(weight);
  for (int64_t i = 0; i < kept.count(); ++i) {
    kept.f32()[i] = cuda::to_float(cuda::from_float<cuda::e4m3>(kept.f32()[i] / scale)) * scale;
  }
  const auto plain = reference->pack_linear(kept, bias);
  const Tensor expected = arena.tensor({rows, out}), y = arena.tensor({rows, out});
  for (const bool library : {true, false}) {
    SCOPED_TRACE(library);
    const auto ops = make(CudaPrecision::fp8, library);
    EXPECT_STREQ("fp8", ops->precision());
    ops->convert(wide, x);
    const Tensor tokens = arena.tensor(x.shape());
    ops->convert(x, tokens);
    for (int64_t i = 0; library && i < tokens.count(); ++i) {
      tokens.f32()[i] = cuda::to_float(cuda::from_float<cuda::e4m3>(tokens.f32()[i]));
    }
    const auto packed = ops->pack_linear(weight, bias, true);
    for (const Activation activation : {Activation::none, Activation::gelu_tanh}) {
      LinearEpilogue epilogue{activation, residual, {gate.f32(), 1, out}};
      reference->linear(*plain, tokens, expected, epilogue);
      ops->linear(*packed, x, y, epilogue);
      expect_close(expected, y, 3e-2);
      // Without a residual, into 16 bits.
      epilogue = {activation, {}, {}};
      const Tensor narrow = arena.tensor({rows, out}, DType::bf16);
      reference->linear(*plain, tokens, expected, epilogue);
      ops->linear(*packed, x, narrow, epilogue);
      ops->convert(narrow, y);
      expect_close(expected, y, 3e-2);
    }
    // Others are kept in 16 bits.
    reference->linear(*reference->pack_linear(weight, bias), wide, expected);
    ops->linear(*ops->pack_linear(weight, bias), wide, y);
    expect_close(expected, y, 3e-2);
  }
  EXPECT_EQ(std::vector<std::string>(), recorded_calls().problems);
  const int64_t before = recorded_calls().products;
  emulation::machine().minor = 6;
  emulation::machine().major = 8;
  const auto ampere = make(CudaPrecision::fp8, true);
  ampere->linear(*ampere->pack_linear(weight, bias, true), x, y);
  EXPECT_EQ(before, recorded_calls().products) << "these devices do not multiply 8 bits";
  expect_error([] { cuda_precision("int4"); }, {"fp8", "int4"});
}

}  // namespace
}  // namespace driftless
