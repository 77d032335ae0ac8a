// What every streaming autoencoder promises to the pipeline, checked on both kinds.

#include "core/philox.h"
#include "models/codec_config.h"
#include "models/wan_codec.h"
#include "models_test_support.h"

namespace driftless {
namespace {

constexpr int64_t kHeight = 32, kWidth = 48;

CodecConfig config_of(const std::string& kind) {
  if (kind == "wan") return tiny_wan();
  return parse_model_config(tiny_model_json(), "tiny").autoencoder;
}

class LatentCodecTest : public testing::TestWithParam<const char*> {
 protected:
  LatentCodecTest() : config_(config_of(GetParam())), ops_(make_ops("cpu")) {
    RandomWeights weights(7);
    codec_ = make_codec(config_, weights, *ops_);
  }

  // `count` frames of different noise, as one tensor in arena_.
  Tensor frames(int64_t count, uint32_t seed) {
    const Tensor rgb = arena_.tensor({count, kHeight, kWidth, 3}, DType::u8);
    for (int64_t i = 0; i < rgb.count(); ++i) {
      seed = seed * 1664525u + 1013904223u;
      rgb.u8()[i] = static_cast<uint8_t>(seed >> 24);
    }
    return rgb;
  }
  Tensor latents(int64_t count) {
    const int64_t scale = codec_->spatial_scale();
    return arena_.zeros({count, kHeight / scale, kWidth / scale, codec_->latent_channels()});
  }

  CodecConfig config_;
  std::unique_ptr<Ops> ops_;
  std::unique_ptr<LatentCodec> codec_;
  Arena arena_;
};

TEST_P(LatentCodecTest, ConfigurationAndCodecAgree) {
  EXPECT_EQ(codec_latent_channels(config_), codec_->latent_channels());
  EXPECT_EQ(codec_spatial_scale(config_), codec_->spatial_scale());
  EXPECT_EQ(codec_frames_per_latent(config_), codec_->frames_per_latent());
  EXPECT_EQ(codec_latent_mean(config_).size(), static_cast<size_t>(codec_->latent_channels()));
  const CodecStateBytes bytes = codec_state_bytes(config_, kHeight, kWidth);
  EXPECT_EQ(bytes.encoder, codec_->state_bytes(kHeight, kWidth).encoder);
  EXPECT_EQ(bytes.decoder, codec_->state_bytes(kHeight, kWidth).decoder);
}

TEST_P(LatentCodecTest, StatesHaveTheirForetoldSizeFromFirstToLastChunk) {
  const CodecStateBytes bytes = codec_state_bytes(config_, kHeight, kWidth);
  const auto encoder = codec_->make_encoder_state(kHeight, kWidth);
  const auto decoder = codec_->make_decoder_state(kHeight, kWidth);
  EXPECT_GT(bytes.encoder, 0u);
  for (uint32_t chunk = 0; chunk < 4; ++chunk) {
    EXPECT_EQ(encoder->bytes(), bytes.encoder) << "before chunk " << chunk;
    EXPECT_EQ(decoder->bytes(), bytes.decoder) << "before chunk " << chunk;
    const Tensor rgb = frames(codec_->frames_per_latent(), chunk), z = latents(1);
    codec_->encode(rgb, *encoder, z);
    codec_->decode(z, *decoder, rgb);
  }
}

TEST_P(LatentCodecTest, ChunkByChunkIsTheSameAsSeveralAtOnce) {
  const int64_t n = codec_->frames_per_latent();
  const Tensor clip = frames(3 * n, 5), together = latents(3), apart = latents(3);
  const auto one = codec_->make_encoder_state(kHeight, kWidth);
  const auto other = codec_->make_encoder_state(kHeight, kWidth);
  codec_->encode(clip, *one, together);
  for (int64_t i = 0; i < 3; ++i) {
    codec_->encode(clip.slice(i * n, (i + 1) * n), *other, apart.slice(i, i + 1));
  }
  EXPECT_LT(relative_error(together.f32(), apart.f32(), static_cast<size_t>(apart.count())), 1e-5);

  const Tensor whole = frames(3 * n, 0), parts = frames(3 * n, 0);
  const auto first = codec_->make_decoder_state(kHeight, kWidth);
  const auto second = codec_->make_decoder_state(kHeight, kWidth);
  codec_->decode(together, *first, whole);
  for (int64_t i = 0; i < 3; ++i) {
    codec_->decode(together.slice(i, i + 1), *second, parts.slice(i * n, (i + 1) * n));
  }
  int64_t differing = 0;
  for (int64_t i = 0; i < whole.count(); ++i) {
    // Rounding to bytes may turn over where the sums differ in their last bit.
    differing += std::abs(int{whole.u8()[i]} - int{parts.u8()[i]}) > 1 ? 1 : 0;
  }
  EXPECT_EQ(differing, 0);
}

TEST_P(LatentCodecTest, SessionsDoNotDisturbEachOther) {
  const int64_t n = codec_->frames_per_latent();
  const Tensor clip = frames(2 * n, 9), alone = latents(2), beside = latents(2), other = latents(1);
  const auto a = codec_->make_encoder_state(kHeight, kWidth);
  const auto b = codec_->make_encoder_state(kHeight, kWidth);
  const auto c = codec_->make_encoder_state(kHeight, kWidth);
  for (int64_t i = 0; i < 2; ++i) {
    codec_->encode(clip.slice(i * n, (i + 1) * n), *a, alone.slice(i, i + 1));
  }
  for (int64_t i = 0; i < 2; ++i) {
    codec_->encode(frames(n, 77), *c, other);
    codec_->encode(clip.slice(i * n, (i + 1) * n), *b, beside.slice(i, i + 1));
  }
  for (int64_t i = 0; i < alone.count(); ++i) ASSERT_EQ(alone.f32()[i], beside.f32()[i]) << i;
}

TEST_P(LatentCodecTest, RefusesAnotherCodecsState) {
  const std::string other_kind = std::string(GetParam()) == "wan" ? "taehv" : "wan";
  RandomWeights weights(8);
  const auto other = make_codec(config_of(other_kind), weights, *ops_);
  const auto state = other->make_encoder_state(kHeight, kWidth);
  const Tensor rgb = frames(codec_->frames_per_latent(), 1), z = latents(1);
  expect_contains(error_of([&] { codec_->encode(rgb, *state, z); }), "state");
  expect_contains(error_of([&] { codec_->decode(z, *state, rgb); }), "state");
}

// TAEHV enlarges before a pointwise layer; the stack does that behind it, within the convolution.
TEST(LayerStackTest, EnlargingBehindAPointwiseLayerIsTheSame) {
  using Layer = AutoencoderLayer;
  std::vector<Layer> layers(3);
  layers[0].type = Layer::Type::up;
  layers[1] = {Layer::Type::tgrow, 4, 6, 1, 2, 0, false};
  layers[2] = {Layer::Type::conv, 6, 5};
  const auto ops = make_ops("cpu");
  RandomWeights weights(3);
  weights.keep = true;
  AutoencoderState state;
  Arena arena;
  const LayerStack stack("s", layers, 4, AutoencoderConfig{}, weights, *ops);
  const Tensor x = arena.tensor({2, 3, 5, 4});
  fill_normal(5, 1, 0, x.f32(), static_cast<size_t>(x.count()));
  const Tensor y = stack.run(x, state, arena);

  const auto packed = [&](const std::string& key, const Tensor& bias) {
    const RandomWeights::Entry& entry = weights.entries().at(key);
    return ops->pack_conv(Tensor(entry.shape, const_cast<float*>(entry.values.data())), bias);
  };
  const Tensor large = arena.tensor({2, 6, 10, 4}), wide = arena.tensor({2, 6, 10, 12});
  const Tensor frames = arena.tensor({4, 6, 10, 6}), expected = arena.tensor({4, 6, 10, 5});
  ops->upsample2(x, large);
  ops->conv2d(*packed("s.1.conv.weight", {}), large, {}, {}, Activation::none, wide);
  ops->channels_to_frames(wide, frames);
  const Tensor bias({5}, const_cast<float*>(weights.entries().at("s.2.bias").values.data()));
  ops->conv2d(*packed("s.2.weight", bias), frames, {}, {}, Activation::none, expected);
  ASSERT_EQ(expected.shape(), y.shape());
  EXPECT_LT(relative_error(expected.f32(), y.f32(), static_cast<size_t>(y.count())), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Kinds, LatentCodecTest, testing::Values("taehv", "wan"));

// The published figures of Wan2.1's autoencoder at 512 x 512, which count 2 bytes per value and
// mebibytes: 702 and 1182.
TEST(WanCodecMemory, MatchesThePublishedFigures) {
  const CodecStateBytes bytes = wan_codec_state_bytes(WanVaeConfig::wan21(), 512, 512);
  EXPECT_EQ(bytes.encoder / 2 / (1 << 20), 702u);
  EXPECT_EQ(bytes.decoder / 2 / (1 << 20), 1182u);
}

}  // namespace
}  // namespace driftless
