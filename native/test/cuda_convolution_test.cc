// Convolutions of the CUDA backend by cuDNN, where that proves itself; by a double of the library.

#include "cuda/recording_cudnn.h"
#include "cuda_ops_test_support.h"
#include "models/codec_config.h"
#include "models/model_config.h"
#include "models_test_support.h"

namespace driftless {
namespace {

struct ConvolutionCase {
  const char* name;
  int64_t n, h, w, in, out, kernel = 3, frames = 1;
  int stride = 1;
  bool bias = true, residual = false, relu = true, wide = false;
  bool ours = false;  ///< Never for the library.
};

class CudaConvolution : public CudaOps {
 protected:
  static std::unique_ptr<Ops> make_with(CudaPrecision precision = CudaPrecision::bf16) {
    CudaOptions options;
    options.precision = precision;
    options.cudnn = &recording_cudnn();
    options.clock = recorded_seconds;
    return make_cuda_ops(options);
  }
};

TEST_F(CudaConvolution, ByTheLibraryWhereItIsBetter) {
  RecordedCudnn& recorded = recorded_cudnn();
  const ConvolutionCase cases[] = {
      {"plain", 2, 6, 10, 8, 16},
      {"all of it", 2, 6, 10, 8, 16, 3, 1, 1, true, true, true},
      {"stride", 1, 7, 9, 16, 8, 3, 1, 2},
      {"pointwise", 2, 5, 4, 24, 8, 1, 1, 1, false, false, false},
      {"f32 out", 1, 6, 5, 8, 8, 3, 1, 1, true, true, false, true},
      {"two frames", 3, 5, 6, 8, 16, 3, 2},
      {"three frames", 2, 5, 6, 8, 8, 3, 3, 1, true, true, false},
      {"three colours", 1, 6, 10, 8, 3, 3, 1, 1, true, false, false, true, true},
      {"ragged channels", 1, 6, 10, 12, 8, 3, 1, 1, true, false, true, false, true},
  };
  CudaPrecision precision = CudaPrecision::f16;
  for (const ConvolutionCase& c : cases) {
    SCOPED_TRACE(c.name);
    recorded = {};
    // In turns.
    const bool half = precision == CudaPrecision::f16;
    precision = half ? CudaPrecision::bf16 : CudaPrecision::f16;
    const auto ops = make_with(precision);
    ConvOptions options;
    options.stride = c.stride;
    options.frames = c.frames;
    const Tensor weight =
        random({c.out, c.frames * c.in, c.kernel, c.kernel}, 0.3f / std::sqrt(float(c.in)));
    const Tensor bias = c.bias ? random({c.out}) : Tensor();
    const Tensor all = random({c.frames - 1 + c.n, c.h, c.w, c.in});
    const Tensor x = rounded(*ops, all);
    const Shape shape = {c.n, (c.h + c.stride - 1) / c.stride, (c.w + c.stride - 1) / c.stride,
                         c.out};
    const Tensor residual = c.residual ? random(shape) : Tensor();
    Tensor add = residual;
    if (c.residual && !c.wide) add = rounded(*ops, residual);
    const Tensor expected = arena.tensor(shape), values = arena.tensor(shape);
    const Tensor y = arena.tensor(shape, c.wide ? DType::f32 : ops->token_dtype());
    const Activation activation = c.relu ? Activation::relu : Activation::none;
    const auto run = [&](Ops& backend, const PackedConv& packed, const Tensor& from,
                         const Tensor& sum, const Tensor& to) {
      const Tensor now = from.slice(c.frames - 1, c.frames - 1 + c.n);
      if (c.frames == 1) return backend.conv2d(packed, now, {}, sum, activation, to);
      backend.conv_frames(packed, now, from.slice(0, c.frames - 1), sum, activation, to);
    };
    run(*reference, *reference->pack_conv(weight, bias, options), all, residual, expected);
    const auto packed = ops->pack_conv(weight, bias, options);
    run(*ops, *packed, x, add, y);
    EXPECT_EQ(0, recorded.runs) << "before it was tried";
    ops->try_libraries([&](int64_t) { run(*ops, *packed, x, add, y); });
    const int tried = recorded.runs;
    EXPECT_EQ(c.ours, tried == 0);
    ops->try_libraries([&](int64_t) { run(*ops, *packed, x, add, y); });
    EXPECT_EQ(tried + (c.ours ? 0 : 1), recorded.runs) << "tried once for each size";
    ops->clear(y);
    // As part of a graph.
    for (int i = 0; i < 3; ++i) {
      ops->repeated({1}, [&](int64_t) { run(*ops, *packed, x, add, y); });
    }
    EXPECT_EQ(tried + (c.ours ? 0 : 4), recorded.runs);
    EXPECT_GT(ops->replays(), 0);
    ops->convert(y, values);
    expect_close(expected, values, 2e-2);
    EXPECT_EQ(std::vector<std::string>(), recorded.problems);
  }
}

TEST_F(CudaConvolution, ByOurOwnKernelElse) {
  RecordedCudnn& recorded = recorded_cudnn();
  const Tensor weight = random({16, 8, 3, 3}, 0.1f), values = random({1, 6, 10, 8});
  const Tensor expected = arena.tensor({1, 6, 10, 16}), got = arena.tensor({1, 6, 10, 16});
  reference->conv2d(*reference->pack_conv(weight, {}), values, {}, {}, Activation::none, expected);
  // No engine, another result, a slow one, products of 32 bits.
  for (const int reason : {0, 1, 2, 3}) {
    SCOPED_TRACE(reason);
    recorded = {};
    recorded.refuses = reason == 0;
    recorded.wrong = reason == 1;
    recorded.delay_ms = reason == 2 ? 200 : 0;
    const auto ops = make_with(reason == 3 ? CudaPrecision::f32 : CudaPrecision::bf16);
    const auto packed = ops->pack_conv(weight, {});
    const Tensor y = arena.tensor(got.shape(), ops->token_dtype());
    const Tensor x = arena.tensor(values.shape(), ops->token_dtype());
    ops->convert(values, x);
    const auto run = [&](int64_t) { ops->conv2d(*packed, x, {}, {}, Activation::none, y); };
    ops->try_libraries(run);
    const int tried = recorded.runs;
    run(0);
    EXPECT_EQ(tried, recorded.runs);
    ops->convert(y, got);
    expect_close(expected, got, 2e-2);
  }
  // Earlier frames that lie elsewhere.
  recorded = {};
  const auto ops = make_with();
  ConvOptions two;
  two.frames = 2;
  const auto packed = ops->pack_conv(random({16, 16, 3, 3}, 0.1f), {}, two);
  const Tensor x = rounded(*ops, random({2, 6, 10, 8})),
               past = rounded(*ops, random({1, 6, 10, 8}));
  const Tensor y = arena.tensor({2, 6, 10, 16}, DType::bf16);
  ops->try_libraries([&](int64_t) { ops->conv_frames(*packed, x, past, {}, Activation::none, y); });
  EXPECT_EQ(0, recorded.runs);
  EXPECT_EQ(std::vector<std::string>(), recorded.problems);
}

// A whole autoencoder, whose layers of memory put the step before where the library finds it.
TEST_F(CudaConvolution, AnAutoencoderByTheLibrary) {
  RecordedCudnn& recorded = recorded_cudnn();
  recorded = {};
  CodecConfig config = parse_model_config(tiny_model_json(), "tiny").autoencoder;
  const auto pictures = [&](Ops& ops, bool trying) {
    RandomWeights weights(7);
    const auto codec = make_codec(config, weights, ops);
    const Tensor rgb = arena.tensor({4, 32, 64, 3}, DType::u8);
    const Tensor z = arena.tensor({1, 4, 8, 4});
    const auto encoder = codec->make_encoder_state(32, 64);
    const auto decoder = codec->make_decoder_state(32, 64);
    for (int chunk = 0; chunk < 3; ++chunk) {
      for (int64_t i = 0; i < rgb.count(); ++i) {
        rgb.u8()[i] = static_cast<uint8_t>(128 + 90 * std::sin(0.05 * double(i + 40 * chunk)));
      }
      const auto work = [&](int64_t) {
        codec->encode(rgb, *encoder, z);
        codec->decode(z, *decoder, rgb);
      };
      if (trying && chunk == 0) {
        ops.try_libraries(work);
        codec->decode(z, *codec->make_decoder_state(32, 64), rgb);
      } else {
        work(0);
      }
      ops.wait();
    }
    return std::vector<uint8_t>(rgb.u8(), rgb.u8() + rgb.count());
  };
  const std::vector<uint8_t> expected = pictures(*reference, false);
  std::get<AutoencoderConfig>(config).dtype = DType::bf16;
  const auto ops = make_with();
  const std::vector<uint8_t> got = pictures(*ops, true);
  double difference = 0;
  for (size_t i = 0; i < got.size(); ++i) difference += std::abs(expected[i] - got[i]);
  EXPECT_LT(difference / static_cast<double>(got.size()), 2);
  EXPECT_GT(recorded.plans, 5);
  EXPECT_EQ(std::vector<std::string>(), recorded.problems);
}

// What lies between the layers of Wan's autoencoder is of 16 bits too, and so is what it remembers.
TEST_F(CudaConvolution, WansAutoencoderInSixteenBits) {
  WanVaeConfig wan = tiny_wan();
  wan.dim = 8;  // Channels in eights, as the published ones.
  const int64_t height = 16, width = 24;
  struct Result {
    std::vector<float> latents;
    std::vector<uint8_t> pictures;
    CodecStateBytes bytes;
  };
  const auto stream = [&](Ops& ops) {
    CodecConfig config = wan;
    set_codec_dtype(config, ops.token_dtype());
    RandomWeights weights(7);
    const auto codec = make_codec(config, weights, ops);
    const auto encoder = codec->make_encoder_state(height, width);
    const auto decoder = codec->make_decoder_state(height, width);
    const Tensor rgb = arena.tensor({4, height, width, 3}, DType::u8);
    const Tensor z = arena.tensor({1, height / 8, width / 8, 4});
    Result result;
    result.bytes = codec_state_bytes(config, height, width);
    for (int chunk = 0; chunk < 2; ++chunk) {
      for (int64_t i = 0; i < rgb.count(); ++i) {
        rgb.u8()[i] = static_cast<uint8_t>(128 + 90 * std::sin(0.05 * double(i + 40 * chunk)));
      }
      codec->encode(rgb, *encoder, z);
      codec->decode(z, *decoder, rgb);
      ops.wait();
      result.latents.insert(result.latents.end(), z.f32(), z.f32() + z.count());
      result.pictures.insert(result.pictures.end(), rgb.u8(), rgb.u8() + rgb.count());
    }
    EXPECT_EQ(result.bytes.encoder, encoder->bytes());
    EXPECT_EQ(result.bytes.decoder, decoder->bytes());
    return result;
  };
  const Result expected = stream(*reference);
  double before = 1;
  for (const CudaPrecision precision : {CudaPrecision::bf16, CudaPrecision::f16}) {
    SCOPED_TRACE(static_cast<int>(precision));
    recorded_cudnn() = {};
    const Result got = stream(*make_with(precision));
    // All but the three colours that the first layer remembers.
    EXPECT_LT(got.bytes.encoder, 0.55 * double(expected.bytes.encoder));
    EXPECT_LT(got.bytes.decoder, 0.55 * double(expected.bytes.decoder));
    const double error =
        relative_error(expected.latents.data(), got.latents.data(), expected.latents.size());
    EXPECT_LT(error, 0.15);
    EXPECT_LT(error, before / 3) << "f16 has three bits more";
    before = error;
    double difference = 0;
    for (size_t i = 0; i < got.pictures.size(); ++i) {
      difference += std::abs(int{expected.pictures[i]} - int{got.pictures[i]});
    }
    EXPECT_LT(difference / double(got.pictures.size()), 2);
  }
}

}  // namespace
}  // namespace driftless
