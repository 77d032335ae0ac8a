#include "models/wan_vae_structure.h"

#include <utility>

namespace driftless {

namespace {

// Every kernel of 3 in time looks at two frames before; the pooling in time at one.
constexpr int64_t kConvFrames = 2;
constexpr int64_t kPoolFrames = 1;

class MemoryOf : public WanVaeBlocks {
 public:
  explicit MemoryOf(int64_t scale) : scale_(scale) {}

  std::vector<WanVaeMemory> memory;

  // Only the first layers are such.
  void conv(const std::string&, int64_t in, int64_t) override {
    add(in, kConvFrames);
    memory.back().of_input = true;
  }
  void residual(const std::string&, int64_t in, int64_t out) override {
    add(in, kConvFrames);
    add(out, kConvFrames);
  }
  void attention(const std::string&, int64_t) override {}
  void downsample(const std::string&, int64_t channels, bool temporal) override {
    scale_ *= 2;
    if (temporal) add(channels, kPoolFrames);
  }
  void upsample(const std::string&, int64_t channels, bool temporal) override {
    if (temporal) add(channels, kConvFrames);
    scale_ /= 2;
  }
  void head(const std::string&, int64_t in, int64_t) override { add(in, kConvFrames); }
  void pointwise(const std::string&, int64_t, int64_t) override {}

 private:
  void add(int64_t channels, int64_t frames) { memory.push_back({channels, frames, scale_}); }

  int64_t scale_;
};

int64_t spatial_scale(const WanVaeConfig& config) {
  return int64_t{1} << (config.multipliers.size() - 1);
}

}  // namespace

WanVaeConfig WanVaeConfig::wan21() {
  WanVaeConfig config;
  config.latent_mean = {-0.7571f, -0.7089f, -0.9113f, 0.1075f,  -0.1745f, 0.9653f,
                        -0.1517f, 1.5508f,  0.4134f,  -0.0715f, 0.5517f,  -0.3632f,
                        -0.1922f, -0.9497f, 0.2503f,  -0.2921f};
  config.latent_std = {2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f, 2.6052f, 2.0743f,
                       3.2687f, 2.1526f, 2.8652f, 1.5579f, 1.6382f, 1.1253f, 2.8251f, 1.9160f};
  return config;
}

void walk_wan_encoder(const WanVaeConfig& config, WanVaeBlocks& blocks) {
  const size_t stages = config.multipliers.size();
  int64_t channels = config.dim;
  blocks.conv("encoder.conv1", 3, channels);
  int index = 0;
  const auto key = [&] { return "encoder.downsamples." + std::to_string(index++); };
  for (size_t stage = 0; stage < stages; ++stage) {
    const int64_t out = config.dim * config.multipliers[stage];
    for (int64_t block = 0; block < config.residual_blocks; ++block) {
      blocks.residual(key(), channels, out);
      channels = out;
    }
    if (stage + 1 < stages) blocks.downsample(key(), out, config.temporal_down[stage]);
  }
  blocks.residual("encoder.middle.0", channels, channels);
  blocks.attention("encoder.middle.1", channels);
  blocks.residual("encoder.middle.2", channels, channels);
  // Twice the channels: mean and log-variance, of which only the mean is used.
  const int64_t moments = 2 * config.latent_channels;
  blocks.head("encoder.head", channels, moments);
  blocks.pointwise("conv1", moments, moments);
}

void walk_wan_decoder(const WanVaeConfig& config, WanVaeBlocks& blocks) {
  const size_t stages = config.multipliers.size();
  int64_t channels = config.dim * config.multipliers.back();
  blocks.pointwise("conv2", config.latent_channels, config.latent_channels);
  blocks.conv("decoder.conv1", config.latent_channels, channels);
  blocks.residual("decoder.middle.0", channels, channels);
  blocks.attention("decoder.middle.1", channels);
  blocks.residual("decoder.middle.2", channels, channels);
  int index = 0;
  const auto key = [&] { return "decoder.upsamples." + std::to_string(index++); };
  for (size_t stage = 0; stage < stages; ++stage) {
    const int64_t out = config.dim * config.multipliers[stages - 1 - stage];
    for (int64_t block = 0; block <= config.residual_blocks; ++block) {
      blocks.residual(key(), channels, out);
      channels = out;
    }
    if (stage + 1 < stages) {
      blocks.upsample(key(), channels, config.temporal_down[stages - 2 - stage]);
      channels /= 2;
    }
  }
  blocks.head("decoder.head", channels, 3);
}

std::vector<WanVaeMemory> wan_encoder_memory(const WanVaeConfig& config) {
  MemoryOf blocks(1);
  walk_wan_encoder(config, blocks);
  return std::move(blocks.memory);
}

std::vector<WanVaeMemory> wan_decoder_memory(const WanVaeConfig& config) {
  MemoryOf blocks(spatial_scale(config));
  walk_wan_decoder(config, blocks);
  return std::move(blocks.memory);
}

}  // namespace driftless
