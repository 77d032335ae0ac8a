#include "models/weight_count.h"

namespace driftless {

namespace {

size_t linear(int64_t in, int64_t out) { return static_cast<size_t>(in * out + out); }

size_t layer_values(const AutoencoderLayer& layer) {
  constexpr int64_t kTaps = 9;
  switch (layer.type) {
    case AutoencoderLayer::Type::conv:
      return static_cast<size_t>(kTaps * layer.in * layer.out + (layer.bias ? layer.out : 0));
    case AutoencoderLayer::Type::tpool:
    case AutoencoderLayer::Type::tgrow:
      return static_cast<size_t>(layer.in * layer.out * layer.steps);
    case AutoencoderLayer::Type::mem:
      // The first convolution also reads the step before.
      return static_cast<size_t>(layer.convs) * linear(kTaps * layer.in, layer.in) +
             static_cast<size_t>(kTaps * layer.in * layer.in);
    case AutoencoderLayer::Type::relu:
    case AutoencoderLayer::Type::clamp:
    case AutoencoderLayer::Type::up:
      return 0;
  }
  return 0;
}

class WanValues : public WanVaeBlocks {
 public:
  size_t values = 0;

  void conv(const std::string&, int64_t in, int64_t out) override { values += causal(in, out); }
  void residual(const std::string&, int64_t in, int64_t out) override {
    values += static_cast<size_t>(in + out) + causal(in, out) + causal(out, out);
    if (in != out) values += linear(in, out);
  }
  void attention(const std::string&, int64_t channels) override {
    values +=
        static_cast<size_t>(channels) + linear(channels, 3 * channels) + linear(channels, channels);
  }
  void downsample(const std::string&, int64_t channels, bool temporal) override {
    values += linear(9 * channels, channels);
    if (temporal) values += linear(3 * channels, channels);
  }
  void upsample(const std::string&, int64_t channels, bool temporal) override {
    values += linear(9 * channels, channels / 2);
    if (temporal) values += linear(3 * channels, 2 * channels);
  }
  void head(const std::string&, int64_t in, int64_t out) override {
    values += static_cast<size_t>(in) + causal(in, out);
  }
  void pointwise(const std::string&, int64_t in, int64_t out) override {
    values += linear(in, out);
  }

 private:
  static size_t causal(int64_t in, int64_t out) { return linear(27 * in, out); }
};

}  // namespace

size_t dit_weight_values(const DitConfig& config) {
  const int64_t d = config.dim, pixels = config.patch * config.patch;
  const size_t attention = 4 * linear(d, d) + static_cast<size_t>(2 * d);
  const size_t block = 2 * attention + linear(d, config.ffn) + linear(config.ffn, d) +
                       static_cast<size_t>(6 * d + 2 * d);  // modulation, norm3
  return linear(config.in_channels * pixels, d) + linear(config.text_dim, d) + linear(d, d) +
         linear(config.freq_dim, d) + linear(d, d) + linear(d, 6 * d) +
         static_cast<size_t>(config.layers) * block + static_cast<size_t>(2 * d) +
         linear(d, config.out_channels * pixels);
}

size_t codec_weight_values(const CodecConfig& config) {
  if (const auto* wan = std::get_if<WanVaeConfig>(&config)) {
    WanValues count;
    walk_wan_encoder(*wan, count);
    walk_wan_decoder(*wan, count);
    return count.values;
  }
  const AutoencoderConfig& taehv = std::get<AutoencoderConfig>(config);
  size_t values = 0;
  for (const AutoencoderLayer& layer : taehv.encoder) values += layer_values(layer);
  for (const AutoencoderLayer& layer : taehv.decoder) values += layer_values(layer);
  return values;
}

size_t prompt_weight_values(const HashedPromptConfig& config) {
  return static_cast<size_t>((config.buckets + config.length) * config.dim) +
         2 * linear(config.dim, config.dim);
}

size_t prompt_weight_values(const Umt5Config& config, bool resident) {
  const int64_t block = 4 * config.dim * config.attention_dim + 3 * config.dim * config.ffn +
                        config.buckets * config.heads + 2 * config.dim;
  if (!resident) return static_cast<size_t>(block);
  return static_cast<size_t>(config.vocab * config.dim + config.layers * block + config.dim);
}

}  // namespace driftless
