#pragma once

// The order of the blocks of Wan2.1's autoencoder, told once: to whoever builds the network, lists
// its tensors or sums its memory.

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "models/latent_codec.h"

namespace driftless {

struct WanVaeConfig {
  int64_t dim = 96;
  int64_t latent_channels = 16;
  std::vector<int64_t> multipliers = {1, 2, 4, 4};
  int64_t residual_blocks = 2;
  std::vector<bool> temporal_down = {false, true, true};
  // Statistics of the latents, [latent_channels].
  std::vector<float> latent_mean, latent_std;
  // Of what lies between the layers: f32, or Ops::token_dtype() of the operations at hand.
  DType dtype = DType::f32;

  // The published statistics of Wan2.1's 16 channels.
  static WanVaeConfig wan21();
};

// Hears of each block in its order; `key` is the prefix of the block's tensors.
class WanVaeBlocks {
 public:
  virtual ~WanVaeBlocks() = default;
  // One causal convolution of kernel 3.
  virtual void conv(const std::string& key, int64_t in, int64_t out) = 0;
  // RMS norm, SiLU, causal convolution, twice, around a shortcut.
  virtual void residual(const std::string& key, int64_t in, int64_t out) = 0;
  // Single-head attention within each frame.
  virtual void attention(const std::string& key, int64_t channels) = 0;
  // Half the size; with `temporal` also half the frames after the first one.
  virtual void downsample(const std::string& key, int64_t channels, bool temporal) = 0;
  // Twice the size and half the channels; with `temporal` also twice the frames after the first.
  virtual void upsample(const std::string& key, int64_t channels, bool temporal) = 0;
  // RMS norm, SiLU and a causal convolution.
  virtual void head(const std::string& key, int64_t in, int64_t out) = 0;
  // A convolution of kernel 1.
  virtual void pointwise(const std::string& key, int64_t in, int64_t out) = 0;
};

// Pixels to mean and log-variance of the latents.
void walk_wan_encoder(const WanVaeConfig& config, WanVaeBlocks& blocks);
// Latents to pixels.
void walk_wan_decoder(const WanVaeConfig& config, WanVaeBlocks& blocks);

// What one temporal convolution remembers: `frames` frames of `channels` at the picture's size
// divided by `scale`.
struct WanVaeMemory {
  int64_t channels = 0;
  int64_t frames = 0;
  int64_t scale = 1;
  bool of_input = false;  // of the network's own input, which is f32

  size_t values(int64_t height, int64_t width) const {
    return static_cast<size_t>(channels * frames * (height / scale) * (width / scale));
  }
};

// In the order of the slots of WanVaeState.
std::vector<WanVaeMemory> wan_encoder_memory(const WanVaeConfig& config);
std::vector<WanVaeMemory> wan_decoder_memory(const WanVaeConfig& config);

}  // namespace driftless
