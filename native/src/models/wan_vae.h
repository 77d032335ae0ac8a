#pragma once

// Wan2.1's video autoencoder in streaming form: eight times smaller in space, four in time. The
// first frame of a stream is a latent frame of its own; every four after it become one.

#include <cstdint>
#include <memory>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "models/codec_memory.h"
#include "models/wan_vae_layers.h"
#include "models/wan_vae_structure.h"
#include "models/weights.h"
#include "ops/ops.h"

namespace driftless {

class WanVae {
 public:
  static constexpr int64_t kSpatialScale = 8;
  static constexpr int64_t kFramesPerLatent = 4;

  // Takes the weights under Wan2.1_VAE's keys. `ops` must outlive the autoencoder.
  WanVae(const WanVaeConfig& config, WeightSource& weights, Ops& ops);

  const WanVaeConfig& config() const { return config_; }

  // Memory of a new stream.
  WanVaeState encoder_state() const;
  WanVaeState decoder_state() const;
  // Temporal convolutions that remember, and all causal convolutions (the reference allocates a
  // slot for each of these).
  size_t encoder_slots() const { return encoder_slots_; }
  size_t encoder_convolutions() const { return encoder_convolutions_; }
  size_t decoder_slots() const { return decoder_slots_; }
  size_t decoder_convolutions() const { return decoder_convolutions_; }

  // Latent frames that encode() makes of so many pixel frames: the first call of a stream takes
  // 1 + 4k and gives 1 + k, later calls take 4k and give k. Throws Error for other counts.
  static int64_t latents_of(int64_t frames, bool started);

  // pixels [frames, h, w, 3] in [-1, 1] -> z [latents, h / 8, w / 8, channels]; `normalise` applies
  // the latent statistics (StreamDiffusionV2 leaves them out by default).
  void encode(const Tensor& pixels, WanVaeState& state, bool normalise, const Tensor& z);

  // z, normalised -> pixels clamped to [-1, 1]; the first latent of a stream gives one frame, each
  // other four.
  void decode(const Tensor& z, WanVaeState& state, const Tensor& pixels);

 private:
  using Layers = std::vector<std::unique_ptr<WanLayer>>;

  Tensor run(const Layers& layers, Tensor x, WanVaeState& state);

  WanVaeConfig config_;
  Ops& ops_;
  Arena parameters_;
  LatentStatistics statistics_;
  Arena ping_, pong_;  // results of every other layer
  Layers encoder_, decoder_;
  size_t encoder_slots_ = 0, encoder_convolutions_ = 0;
  size_t decoder_slots_ = 0, decoder_convolutions_ = 0;
};

}  // namespace driftless
