#pragma once

// Which autoencoder a model has, and how to make it.

#include <memory>
#include <variant>
#include <vector>

#include "models/autoencoder.h"
#include "models/latent_codec.h"
#include "models/wan_vae_structure.h"
#include "models/weights.h"
#include "ops/ops.h"

namespace driftless {

using CodecConfig = std::variant<AutoencoderConfig, WanVaeConfig>;

// `ops` must outlive the codec.
std::unique_ptr<LatentCodec> make_codec(const CodecConfig& config, WeightSource& weights, Ops& ops);

// Of what lies between the codec's layers.
void set_codec_dtype(CodecConfig& config, DType dtype);

// What the codec of this configuration would say.
int64_t codec_latent_channels(const CodecConfig& config);
int64_t codec_spatial_scale(const CodecConfig& config);
int64_t codec_frames_per_latent(const CodecConfig& config);
CodecStateBytes codec_state_bytes(const CodecConfig& config, int64_t height, int64_t width);

// Statistics of the latents, by which they are normalised; [latent_channels].
const std::vector<float>& codec_latent_mean(const CodecConfig& config);
const std::vector<float>& codec_latent_std(const CodecConfig& config);

}  // namespace driftless
