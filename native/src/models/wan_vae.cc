#include "models/wan_vae.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"

namespace driftless {

namespace {

// Makes a layer of every block.
class LayersOf : public WanVaeBlocks {
 public:
  LayersOf(WanLayerContext& context, std::vector<std::unique_ptr<WanLayer>>& layers)
      : context_(context), layers_(layers) {}

  void conv(const std::string& key, int64_t in, int64_t out) override {
    layers_.push_back(make_wan_conv(context_, key, in, out));
  }
  void residual(const std::string& key, int64_t in, int64_t out) override {
    layers_.push_back(make_wan_residual(context_, key, in, out));
  }
  void attention(const std::string& key, int64_t channels) override {
    layers_.push_back(make_wan_attention(context_, key, channels));
  }
  void downsample(const std::string& key, int64_t channels, bool temporal) override {
    layers_.push_back(make_wan_downsample(context_, key, channels, temporal));
  }
  void upsample(const std::string& key, int64_t channels, bool temporal) override {
    layers_.push_back(make_wan_upsample(context_, key, channels, temporal));
  }
  void head(const std::string& key, int64_t in, int64_t out) override {
    layers_.push_back(make_wan_head(context_, key, in, out));
  }
  void pointwise(const std::string& key, int64_t in, int64_t out) override {
    layers_.push_back(make_wan_pointwise(context_, key, in, out));
  }

 private:
  WanLayerContext& context_;
  std::vector<std::unique_ptr<WanLayer>>& layers_;
};

}  // namespace

WanVae::WanVae(const WanVaeConfig& config, WeightSource& weights, Ops& ops)
    : config_(config),
      ops_(ops),
      parameters_(size_t{1} << 20, 0, ops.memory()),
      ping_(size_t{1} << 20, 0, ops.memory()),
      pong_(size_t{1} << 20, 0, ops.memory()) {
  const auto channels = static_cast<size_t>(config.latent_channels);
  DL_CHECK_EQ("wan vae: latentMean", channels, config.latent_mean.size());
  DL_CHECK_EQ("wan vae: latentStd", channels, config.latent_std.size());
  DL_CHECK_EQ("wan vae: temporalDown", config.multipliers.size() - 1, config.temporal_down.size());
  DL_CHECK(config.dtype == DType::f32 || config.dtype == ops.token_dtype(),
           "type of what lies between the wan vae's layers", dtype_name(ops.token_dtype()),
           dtype_name(config.dtype));
  statistics_ = LatentStatistics::of(config.latent_mean, config.latent_std, ops, parameters_);
  WanLayerContext encoder{weights, ops, parameters_, config.dtype};
  LayersOf encoder_blocks(encoder, encoder_);
  walk_wan_encoder(config, encoder_blocks);
  encoder_slots_ = encoder.slots;
  // The pointwise convolution between encoder and latents has no slot in the reference either.
  encoder_convolutions_ = encoder.convolutions - 1;
  WanLayerContext decoder{weights, ops, parameters_, config.dtype};
  LayersOf decoder_blocks(decoder, decoder_);
  walk_wan_decoder(config, decoder_blocks);
  decoder_slots_ = decoder.slots;
  decoder_convolutions_ = decoder.convolutions - 1;
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
    const ArenaScope scope(ops_.arena());
    x = layer->run(x, state, out, ops_.arena());
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
  int64_t at = 0, latent = 0;
  while (at < frames) {
    const int64_t count = state.started ? kFramesPerLatent : (at == 0 ? 1 : frames - at);
    const Tensor moments = run(encoder_, pixels.slice(at, at + count), state);
    const Tensor means = z.slice(latent, latent + moments.dim(0));
    ops_.copy_channels(moments, 0, channels, means, 0);
    if (normalise) ops_.affine_channels(means, statistics_.scale, statistics_.shift, means);
    at += count;
    latent += moments.dim(0);
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
  const ArenaScope scope(ops_.arena());
  const Tensor scaled = ops_.arena().tensor(z.shape());
  ops_.affine_channels(z, statistics_.std, statistics_.mean, scaled);
  for (int64_t at = 0, frame = 0; at < latents;) {
    const int64_t count = state.started ? 1 : (at == 0 ? 1 : latents - at);
    const Tensor rgb = run(decoder_, scaled.slice(at, at + count), state);
    ops_.clamp(rgb, -1.0f, 1.0f, pixels.slice(frame, frame + rgb.dim(0)));
    at += count;
    frame += rgb.dim(0);
  }
  state.started = true;
}

}  // namespace driftless
