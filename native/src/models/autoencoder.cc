#include "models/autoencoder.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "core/error.h"

namespace driftless {

namespace {

using Layers = std::vector<AutoencoderLayer>;

// What one layer remembers.
struct LayerMemory {
  size_t values;
  DType dtype;
  size_t bytes() const { return values * dtype_size(dtype); }
};

// Of a stream whose first layer sees h x w.
std::vector<LayerMemory> layer_memory(const Layers& layers, int64_t h, int64_t w, DType dtype) {
  std::vector<LayerMemory> memory;
  const std::vector<bool> after = follow_convolution(layers);
  for (const AutoencoderLayer& layer : layers) {
    const bool remembers = layer.type == AutoencoderLayer::Type::mem;
    memory.push_back({remembers ? static_cast<size_t>(h * w * layer.in) : 0,
                      after[memory.size()] ? dtype : DType::f32});
    if (layer.type == AutoencoderLayer::Type::conv) {
      h = (h + layer.stride - 1) / layer.stride;
      w = (w + layer.stride - 1) / layer.stride;
    }
    if (layer.type == AutoencoderLayer::Type::up) {
      h *= 2;
      w *= 2;
    }
  }
  return memory;
}

std::vector<LayerMemory> encoder_memory(const AutoencoderConfig& config, int64_t height,
                                        int64_t width) {
  return layer_memory(config.encoder, height / config.patch, width / config.patch, config.dtype);
}

std::vector<LayerMemory> decoder_memory(const AutoencoderConfig& config, int64_t height,
                                        int64_t width) {
  const int64_t scale = config.spatial_scale;
  return layer_memory(config.decoder, height / scale, width / scale, config.dtype);
}

std::vector<size_t> sizes_of(const std::vector<LayerMemory>& memory) {
  std::vector<size_t> sizes;
  for (const LayerMemory& layer : memory) sizes.push_back(layer.bytes());
  return sizes;
}

size_t bytes_of(const std::vector<LayerMemory>& memory) {
  const std::vector<size_t> sizes = sizes_of(memory);
  return std::accumulate(sizes.begin(), sizes.end(), size_t{0});
}

std::unique_ptr<CodecState> make_state(const std::vector<LayerMemory>& memory, Ops& ops) {
  auto state = std::make_unique<AutoencoderState>(ops.memory(), memory_bytes(sizes_of(memory)));
  for (const LayerMemory& layer : memory) {
    Tensor& slot = state->past.emplace_back();
    if (layer.values == 0) continue;
    remembered(slot, static_cast<int64_t>(layer.values), state->memory, ops, layer.dtype);
  }
  return state;
}

AutoencoderState& own_state(CodecState& state) {
  auto* own = dynamic_cast<AutoencoderState*>(&state);
  if (own == nullptr) throw Error("autoencoder state", "one of this autoencoder", "another's");
  return *own;
}

}  // namespace

size_t AutoencoderState::bytes() const {
  size_t bytes = 0;
  for (const Tensor& one : past) bytes += one.present() ? one.bytes() : 0;
  return bytes;
}

CodecStateBytes autoencoder_state_bytes(const AutoencoderConfig& config, int64_t height,
                                        int64_t width) {
  return {bytes_of(encoder_memory(config, height, width)),
          bytes_of(decoder_memory(config, height, width))};
}

std::unique_ptr<CodecState> Autoencoder::make_encoder_state(int64_t height, int64_t width) const {
  return make_state(encoder_memory(config_, height, width), ops_);
}

std::unique_ptr<CodecState> Autoencoder::make_decoder_state(int64_t height, int64_t width) const {
  return make_state(decoder_memory(config_, height, width), ops_);
}

Autoencoder::Autoencoder(const AutoencoderConfig& config, WeightSource& weights, Ops& ops)
    : config_(config), ops_(ops), parameters_(4096, 0, ops.memory()) {
  const int64_t pixel_channels = 3 * config.patch * config.patch;
  int64_t space = config.patch, time = 1;
  for (const AutoencoderLayer& layer : config.encoder) {
    if (layer.type == AutoencoderLayer::Type::conv) space *= layer.stride;
    if (layer.type == AutoencoderLayer::Type::tpool) time *= layer.steps;
  }
  DL_CHECK_EQ("autoencoder.encoder: spatial scale", config.spatial_scale, space);
  DL_CHECK_EQ("autoencoder.encoder: frames per latent", config.frames_per_latent, time);
  space = config.patch;
  time = 1;
  for (const AutoencoderLayer& layer : config.decoder) {
    if (layer.type == AutoencoderLayer::Type::up) space *= 2;
    if (layer.type == AutoencoderLayer::Type::tgrow) time *= layer.steps;
  }
  DL_CHECK_EQ("autoencoder.decoder: spatial scale", config.spatial_scale, space);
  DL_CHECK_EQ("autoencoder.decoder: frames per latent", config.frames_per_latent, time);
  DL_CHECK(config.dtype == DType::f32 || config.dtype == ops.token_dtype(),
           "type of what lies between the autoencoder's layers", dtype_name(ops.token_dtype()),
           dtype_name(config.dtype));
  encoder_ =
      std::make_unique<LayerStack>("encoder", config.encoder, pixel_channels, config, weights, ops);
  decoder_ = std::make_unique<LayerStack>("decoder", config.decoder, config.latent_channels, config,
                                          weights, ops);
  DL_CHECK_EQ("autoencoder.encoder: output channels", config.latent_channels,
              encoder_->out_channels());
  DL_CHECK_EQ("autoencoder.decoder: output channels", pixel_channels, decoder_->out_channels());
  take_parameters();
}

void Autoencoder::take_parameters() {
  const auto take = [this](const std::vector<float>& values, const Shape& shape) {
    return parameter(values, shape, ops_, parameters_);
  };
  statistics_ = LatentStatistics::of(config_.latent_mean, config_.latent_std, ops_, parameters_);
  if (!config_.has_anchor) return;
  const ChromaAnchor& anchor = config_.anchor;
  const float span = config_.input_high - config_.input_low;
  const float gain = (config_.output_high - config_.output_low) / anchor.scale;
  unit_scale_ = take(std::vector<float>(3, 1.0f / span), {3});
  unit_shift_ = take(std::vector<float>(3, -config_.input_low / span), {3});
  to_chroma_ = take({anchor.to_chroma.begin(), anchor.to_chroma.end()}, {2, 3});
  from_chroma_ = take({anchor.from_chroma.begin(), anchor.from_chroma.end()}, {3, 2});
  anchor_scale_ = take({anchor.scale, anchor.scale}, {2});
  anchor_gain_ = take({gain, gain}, {2});
}

// Replaces the anchor channels of z by the averaged chroma of the pixels.
void Autoencoder::write_anchor(const Tensor& pixels, const Tensor& z) {
  const Tensor mean = ops_.arena().tensor({z.dim(0), z.dim(1), z.dim(2), 3});
  const Tensor chroma = ops_.arena().tensor({z.dim(0), z.dim(1), z.dim(2), 2});
  ops_.average_pool(pixels, mean);
  ops_.affine_channels(mean, unit_scale_, unit_shift_, mean);
  ops_.mix_channels(mean, to_chroma_, chroma);
  ops_.affine_channels(chroma, anchor_scale_, {}, chroma);
  for (size_t a = 0; a < 2; ++a) {
    ops_.copy_channels(chroma, static_cast<int64_t>(a), 1, z, config_.anchor.channels[a]);
  }
}

// Adds the colours of z's anchor channels to the pixels.
void Autoencoder::add_anchor(const Tensor& z, const Tensor& pixels) {
  const Tensor chroma = ops_.arena().tensor({z.dim(0), z.dim(1), z.dim(2), 2});
  const Tensor rgb = ops_.arena().tensor({z.dim(0), z.dim(1), z.dim(2), 3});
  for (size_t a = 0; a < 2; ++a) {
    ops_.copy_channels(z, config_.anchor.channels[a], 1, chroma, static_cast<int64_t>(a));
  }
  ops_.affine_channels(chroma, anchor_gain_, {}, chroma);
  ops_.mix_channels(chroma, from_chroma_, rgb);
  ops_.upsample_bilinear(rgb, pixels, true);
}

void Autoencoder::encode_raw(const Tensor& pixels, AutoencoderState& state, const Tensor& z) {
  const ArenaScope scope(ops_.arena());
  const int64_t n = pixels.dim(0), p = config_.patch, s = config_.spatial_scale;
  DL_CHECK_EQ("latents",
              (Shape{n / config_.frames_per_latent, pixels.dim(1) / s, pixels.dim(2) / s,
                     config_.latent_channels}),
              z.shape());
  Tensor x = pixels;
  if (p > 1) {
    x = ops_.arena().tensor({n, pixels.dim(1) / p, pixels.dim(2) / p, 3 * p * p});
    ops_.pixel_unshuffle(pixels, x);
  }
  const Tensor out = encoder_->run(x, state, ops_.arena());
  DL_CHECK_EQ("encoder output", z.shape(), out.shape());
  ops_.copy(out, z);
  if (config_.has_anchor) write_anchor(pixels, z);
}

void Autoencoder::decode_raw(const Tensor& z, AutoencoderState& state, const Tensor& pixels) {
  const ArenaScope scope(ops_.arena());
  // The network clamps and rectifies in place where it may; its input is the caller's.
  const Tensor out = decoder_->run(z, state, ops_.arena());
  if (config_.patch > 1) {
    ops_.pixel_shuffle(out, pixels);
  } else {
    DL_CHECK_EQ("decoder output", pixels.shape(), out.shape());
    ops_.copy(out, pixels);
  }
  if (config_.has_anchor) add_anchor(z, pixels);
}

void Autoencoder::encode(const Tensor& rgb, CodecState& state, const Tensor& z) {
  const ArenaScope scope(ops_.arena());
  const Tensor pixels = ops_.arena().tensor(rgb.shape());
  const Tensor latents = ops_.arena().tensor(z.shape());
  AutoencoderState& own = own_state(state);
  ops_.u8_to_f32(rgb, config_.input_high - config_.input_low, config_.input_low, pixels);
  ops_.repeated(codec_key(state, pixels), [&](int64_t) { encode_raw(pixels, own, latents); });
  ops_.affine_channels(latents, statistics_.scale, statistics_.shift, z);
}

void Autoencoder::decode(const Tensor& z, CodecState& state, const Tensor& rgb) {
  const ArenaScope scope(ops_.arena());
  const Tensor latent = ops_.arena().tensor(z.shape());
  ops_.affine_channels(z, statistics_.std, statistics_.mean, latent);
  const Tensor pixels = ops_.arena().tensor(rgb.shape());
  AutoencoderState& own = own_state(state);
  ops_.repeated(codec_key(state, pixels), [&](int64_t) { decode_raw(latent, own, pixels); });
  const float span = config_.output_high - config_.output_low;
  ops_.f32_to_u8(pixels, 1.0f / span, -config_.output_low / span, rgb);
}

}  // namespace driftless
