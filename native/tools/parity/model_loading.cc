#include "parity/model_loading.h"

#include <string>

#include "models/checkpoint.h"
#include "models/weights.h"

namespace driftless {

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
  const AutoencoderConfig config =
      taehv_config(width, widths, json_get<int64_t>(json, "latent_channels", where));
  FileWeights weights(set.path("taehv_weights.safetensors"));
  auto autoencoder = std::make_unique<Autoencoder>(config, weights, ops);
  weights.finish();
  return autoencoder;
}

}  // namespace driftless
