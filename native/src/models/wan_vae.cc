#include "models/wan_vae.h"

#include <algorithm>
#include <string>

#include "core/error.h"

namespace driftless {

WanVaeConfig WanVaeConfig::wan21() {
  WanVaeConfig config;
  config.latent_mean = {-0.7571f, -0.7089f, -0.9113f, 0.1075f,  -0.1745f, 0.9653f,
                        -0.1517f, 1.5508f,  0.4134f,  -0.0715f, 0.5517f,  -0.3632f,
                        -0.1922f, -0.9497f, 0.2503f,  -0.2921f};
  config.latent_std = {2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f, 2.6052f, 2.0743f,
                       3.2687f, 2.1526f, 2.8652f, 1.5579f, 1.6382f, 1.1253f, 2.8251f, 1.9160f};
  return config;
}

WanVae::WanVae(const WanVaeConfig& config, WeightSource& weights, Ops& ops)
    : config_(config), ops_(ops) {
  const auto channels = static_cast<size_t>(config.latent_channels);
  DL_CHECK_EQ("wan vae: latentMean", channels, config.latent_mean.size());
  DL_CHECK_EQ("wan vae: latentStd", channels, config.latent_std.size());
  DL_CHECK_EQ("wan vae: temporalDown", config.multipliers.size() - 1, config.temporal_down.size());
  WanLayerContext encoder{weights, ops, parameters_};
  build_encoder(encoder);
  encoder_slots_ = encoder.slots;
  // The pointwise convolution between encoder and latents has no slot in the reference either.
  encoder_convolutions_ = encoder.convolutions - 1;
  WanLayerContext decoder{weights, ops, parameters_};
  build_decoder(decoder);
  decoder_slots_ = decoder.slots;
  decoder_convolutions_ = decoder.convolutions - 1;
}

void WanVae::build_encoder(WanLayerContext& context) {
  const size_t stages = config_.multipliers.size();
  int64_t channels = config_.dim;
  encoder_.push_back(make_wan_conv(context, "encoder.conv1", 3, channels));
  int index = 0;
  const auto key = [&] { return "encoder.downsamples." + std::to_string(index++); };
  for (size_t stage = 0; stage < stages; ++stage) {
    const int64_t out = config_.dim * config_.multipliers[stage];
    for (int64_t block = 0; block < config_.residual_blocks; ++block) {
      encoder_.push_back(make_wan_residual(context, key(), channels, out));
      channels = out;
    }
    if (stage + 1 < stages) {
      encoder_.push_back(make_wan_downsample(context, key(), out, config_.temporal_down[stage]));
    }
  }
  encoder_.push_back(make_wan_residual(context, "encoder.middle.0", channels, channels));
  encoder_.push_back(make_wan_attention(context, "encoder.middle.1", channels));
  encoder_.push_back(make_wan_residual(context, "encoder.middle.2", channels, channels));
  // Twice the channels: mean and log-variance, of which only the mean is used.
  const int64_t moments = 2 * config_.latent_channels;
  encoder_.push_back(make_wan_head(context, "encoder.head", channels, moments));
  encoder_.push_back(make_wan_pointwise(context, "conv1", moments, moments));
}

void WanVae::build_decoder(WanLayerContext& context) {
  const size_t stages = config_.multipliers.size();
  int64_t channels = config_.dim * config_.multipliers.back();
  decoder_.push_back(
      make_wan_pointwise(context, "conv2", config_.latent_channels, config_.latent_channels));
  decoder_.push_back(make_wan_conv(context, "decoder.conv1", config_.latent_channels, channels));
  decoder_.push_back(make_wan_residual(context, "decoder.middle.0", channels, channels));
  decoder_.push_back(make_wan_attention(context, "decoder.middle.1", channels));
  decoder_.push_back(make_wan_residual(context, "decoder.middle.2", channels, channels));
  int index = 0;
  const auto key = [&] { return "decoder.upsamples." + std::to_string(index++); };
  for (size_t stage = 0; stage < stages; ++stage) {
    const int64_t out = config_.dim * config_.multipliers[stages - 1 - stage];
    for (int64_t block = 0; block <= config_.residual_blocks; ++block) {
      decoder_.push_back(make_wan_residual(context, key(), channels, out));
      channels = out;
    }
    if (stage + 1 < stages) {
      const bool temporal = config_.temporal_down[stages - 2 - stage];
      decoder_.push_back(make_wan_upsample(context, key(), channels, temporal));
      channels /= 2;
    }
  }
  decoder_.push_back(make_wan_head(context, "decoder.head", channels, 3));
}

WanVaeState WanVae::encoder_state() const {
  WanVaeState state;
  state.slots.resize(encoder_slots_);
  return state;
}

WanVaeState WanVae::decoder_state() const {
  WanVaeState state;
  state.slots.resize(decoder_slots_);
  return state;
}

int64_t WanVae::latents_of(int64_t frames, bool started) {
  const int64_t first = started ? 0 : 1;
  DL_CHECK(frames >= (started ? kFramesPerLatent : 1) && (frames - first) % kFramesPerLatent == 0,
           "wan vae: frames of a call",
           started ? "a multiple of 4" : "1 + a multiple of 4 (first call of a stream)", frames);
  return first + (frames - first) / kFramesPerLatent;
}

Tensor WanVae::run(const Layers& layers, Tensor x, WanVaeState& state) {
  bool even = true;
  for (const std::unique_ptr<WanLayer>& layer : layers) {
    // The layer before last wrote here, and nobody reads that any more.
    Arena& out = even ? ping_ : pong_;
    out.reset();
    const ArenaScope scope(scratch_);
    x = layer->run(x, state, out, scratch_);
    even = !even;
  }
  return x;
}

void WanVae::encode(const Tensor& pixels, WanVaeState& state, bool normalise, const Tensor& z) {
  const int64_t frames = pixels.dim(0), channels = config_.latent_channels;
  const int64_t latents = latents_of(frames, state.started);
  DL_CHECK_EQ(
      "wan vae: latents",
      (Shape{latents, pixels.dim(1) / kSpatialScale, pixels.dim(2) / kSpatialScale, channels}),
      z.shape());
  // The reference's order: the first frame alone, then the rest of the first call in one go;
  // later calls by fours.
  int64_t at = 0;
  float* to = z.f32();
  while (at < frames) {
    const int64_t count = state.started ? kFramesPerLatent : (at == 0 ? 1 : frames - at);
    const Tensor moments = run(encoder_, pixels.slice(at, at + count), state);
    for (int64_t p = 0; p < moments.count() / (2 * channels); ++p) {
      const float* from = moments.f32() + p * 2 * channels;
      for (int64_t c = 0; c < channels; ++c) {
        const auto i = static_cast<size_t>(c);
        *to++ = normalise ? (from[c] - config_.latent_mean[i]) / config_.latent_std[i] : from[c];
      }
    }
    at += count;
  }
  state.started = true;
}

void WanVae::decode(const Tensor& z, WanVaeState& state, const Tensor& pixels) {
  const int64_t latents = z.dim(0);
  const int64_t frames =
      state.started ? latents * kFramesPerLatent : 1 + (latents - 1) * kFramesPerLatent;
  DL_CHECK_EQ("wan vae: pixels",
              (Shape{frames, z.dim(1) * kSpatialScale, z.dim(2) * kSpatialScale, 3}),
              pixels.shape());
  Arena input;
  const Tensor scaled = input.tensor(z.shape());
  for (int64_t i = 0; i < z.count(); ++i) {
    const auto c = static_cast<size_t>(i % config_.latent_channels);
    scaled.f32()[i] = z.f32()[i] * config_.latent_std[c] + config_.latent_mean[c];
  }
  float* to = pixels.f32();
  for (int64_t at = 0; at < latents;) {
    const int64_t count = state.started ? 1 : (at == 0 ? 1 : latents - at);
    const Tensor rgb = run(decoder_, scaled.slice(at, at + count), state);
    for (int64_t i = 0; i < rgb.count(); ++i) *to++ = std::clamp(rgb.f32()[i], -1.0f, 1.0f);
    at += count;
  }
  state.started = true;
}

}  // namespace driftless
