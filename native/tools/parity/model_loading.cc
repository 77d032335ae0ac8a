#include "parity/model_loading.h"

#include <string>

#include "models/weights.h"

namespace driftless {

namespace {

using Layer = AutoencoderLayer;

Layer conv(int64_t in, int64_t out, int64_t stride, bool bias) {
  Layer layer;
  layer.type = Layer::Type::conv;
  layer.in = in;
  layer.out = out;
  layer.stride = stride;
  layer.bias = bias;
  return layer;
}

Layer temporal(Layer::Type type, int64_t channels, int64_t steps) {
  Layer layer;
  layer.type = type;
  layer.in = layer.out = channels;
  layer.steps = steps;
  return layer;
}

Layer plain(Layer::Type type) {
  Layer layer;
  layer.type = type;
  return layer;
}

constexpr int kMemoryBlocks = 3;

void add_memory(std::vector<Layer>& layers, int64_t channels) {
  Layer layer;
  layer.type = Layer::Type::mem;
  layer.in = layer.out = channels;
  layer.convs = 3;
  layers.insert(layers.end(), kMemoryBlocks, layer);
}

}  // namespace

std::unique_ptr<WanVae> load_wan_vae(const GoldenSet& set, Ops& ops) {
  const std::string where = "manifest.models.wan_vae";
  const Json& json = set.model("wan_vae");
  WanVaeConfig config = WanVaeConfig::wan21();
  config.dim = json_get<int64_t>(json, "dim", where);
  config.latent_channels = json_get<int64_t>(json, "z_dim", where);
  config.multipliers = json_get<std::vector<int64_t>>(json, "dim_mult", where);
  config.residual_blocks = json_get<int64_t>(json, "num_res_blocks", where);
  config.temporal_down = json_get<std::vector<bool>>(json, "temporal_downsample", where);
  FileWeights weights(set.path("wan_vae_weights.safetensors"));
  auto vae = std::make_unique<WanVae>(config, weights, ops);
  weights.finish();
  return vae;
}

std::unique_ptr<Umt5Encoder> load_umt5(const GoldenSet& set, Ops& ops) {
  const std::string where = "manifest.models.umt5";
  const Json& json = set.model("umt5");
  Umt5Config config;
  config.vocab = json_get<int64_t>(json, "vocab", where);
  config.dim = json_get<int64_t>(json, "dim", where);
  config.attention_dim = json_get<int64_t>(json, "dim_attn", where);
  config.ffn = json_get<int64_t>(json, "dim_ffn", where);
  config.heads = json_get<int64_t>(json, "heads", where);
  config.layers = json_get<int64_t>(json, "layers", where);
  config.buckets = json_get<int64_t>(json, "num_buckets", where);
  config.max_distance = json_get<int64_t>(json, "max_dist", where);
  config.eps = json_get<float>(json, "eps", where);
  FileWeights weights(set.path("umt5_weights.safetensors"));
  auto encoder = std::make_unique<Umt5Encoder>(config, weights, ops);
  weights.finish();
  return encoder;
}

std::unique_ptr<Autoencoder> load_taehv(const GoldenSet& set, Ops& ops) {
  const std::string where = "manifest.models.taehv";
  const Json& json = set.model("taehv");
  const auto width = json_get<int64_t>(json, "encoder_width", where);
  const auto widths = json_get<std::vector<int64_t>>(json, "decoder_widths", where);
  DL_CHECK_EQ(where + ".decoder_widths: stages", size_t{4}, widths.size());
  AutoencoderConfig config;
  config.latent_channels = json_get<int64_t>(json, "latent_channels", where);
  config.input_low = config.output_low = 0;
  config.latent_mean.assign(static_cast<size_t>(config.latent_channels), 0.0f);
  config.latent_std.assign(static_cast<size_t>(config.latent_channels), 1.0f);

  config.encoder = {conv(3, width, 1, true), plain(Layer::Type::relu)};
  for (int64_t steps : {2, 2, 1}) {
    config.encoder.push_back(temporal(Layer::Type::tpool, width, steps));
    config.encoder.push_back(conv(width, width, 2, false));
    add_memory(config.encoder, width);
  }
  config.encoder.push_back(conv(width, config.latent_channels, 1, true));

  config.decoder = {plain(Layer::Type::clamp), conv(config.latent_channels, widths[0], 1, true),
                    plain(Layer::Type::relu)};
  const int64_t grow[] = {1, 2, 2};
  for (size_t stage = 0; stage < 3; ++stage) {
    add_memory(config.decoder, widths[stage]);
    config.decoder.push_back(plain(Layer::Type::up));
    config.decoder.push_back(temporal(Layer::Type::tgrow, widths[stage], grow[stage]));
    config.decoder.push_back(conv(widths[stage], widths[stage + 1], 1, false));
  }
  config.decoder.push_back(plain(Layer::Type::relu));
  config.decoder.push_back(conv(widths[3], 3, 1, true));
  FileWeights weights(set.path("taehv_weights.safetensors"));
  auto autoencoder = std::make_unique<Autoencoder>(config, weights, ops);
  weights.finish();
  return autoencoder;
}

}  // namespace driftless
