#include "models/codec_config.h"

#include "models/wan_codec.h"

namespace driftless {

std::unique_ptr<LatentCodec> make_codec(const CodecConfig& config, WeightSource& weights,
                                        Ops& ops) {
  if (const auto* wan = std::get_if<WanVaeConfig>(&config)) {
    return std::make_unique<WanCodec>(*wan, weights, ops);
  }
  return std::make_unique<Autoencoder>(std::get<AutoencoderConfig>(config), weights, ops);
}

void set_codec_dtype(CodecConfig& config, DType dtype) {
  std::visit([dtype](auto& one) { one.dtype = dtype; }, config);
}

int64_t codec_latent_channels(const CodecConfig& config) {
  return std::visit([](const auto& one) { return one.latent_channels; }, config);
}

int64_t codec_spatial_scale(const CodecConfig& config) {
  if (std::holds_alternative<WanVaeConfig>(config)) return WanVae::kSpatialScale;
  return std::get<AutoencoderConfig>(config).spatial_scale;
}

int64_t codec_frames_per_latent(const CodecConfig& config) {
  if (std::holds_alternative<WanVaeConfig>(config)) return WanVae::kFramesPerLatent;
  return std::get<AutoencoderConfig>(config).frames_per_latent;
}

CodecStateBytes codec_state_bytes(const CodecConfig& config, int64_t height, int64_t width) {
  if (const auto* wan = std::get_if<WanVaeConfig>(&config)) {
    return wan_codec_state_bytes(*wan, height, width);
  }
  return autoencoder_state_bytes(std::get<AutoencoderConfig>(config), height, width);
}

const std::vector<float>& codec_latent_mean(const CodecConfig& config) {
  return std::visit([](const auto& one) -> const std::vector<float>& { return one.latent_mean; },
                    config);
}

const std::vector<float>& codec_latent_std(const CodecConfig& config) {
  return std::visit([](const auto& one) -> const std::vector<float>& { return one.latent_std; },
                    config);
}

}  // namespace driftless
