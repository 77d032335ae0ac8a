#pragma once

// model.json: the single source of a model's sizes and of how it wants to be driven.

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "core/json.h"
#include "models/causal_dit.h"
#include "models/codec_config.h"
#include "models/hashed_prompt_encoder.h"
#include "models/picture_size.h"
#include "models/umt5_prompt_encoder.h"

namespace driftless {

enum class Prediction { flow, x0 };
enum class NoiseSource { fixed, fresh };  // one tensor per stream, or new noise for every chunk
// What happens to the rings when a new prompt has arrived: they keep what they saw under the old
// one, or are made anew from the latents of their window.
enum class PromptRing { keep, recache };
// Whether a finished latent is shown to the network once more, without noise, for the last ring.
enum class ContextPass { none, clean };

struct ScheduleConfig {
  double shift = 1;         // of the sigma table
  double latent_scale = 1;  // latents times this before noising; raises signal over noise
  // Incoming latents are noised without their normalisation, as StreamDiffusionV2 does by default.
  bool raw_latents = false;
  NoiseSource noise = NoiseSource::fixed;
  double timestep_offset = 0;  // added to 1000 * noise scale before the network sees it
  std::vector<int> steps;      // timesteps of the denoising steps, first to last
  double noise_scale = 0.7;    // of a still picture
  double motion_range = 0.1;   // how much less at the fastest motion
  int kv_frames = 6;
  int sink_frames = 2;
  float adapt_sink_threshold = -1;
  int blend_chunks = 4;  // over which a new prompt comes in; 0: at once
  PromptRing prompt_ring = PromptRing::keep;
  ContextPass context_pass = ContextPass::none;
  // How much of the picture before stays where the camera stands still, 0 to 0.95 (see
  // stream/steadier.h); 0: nothing is held.
  double hold_still = 0;
  bool drift_guard = true;  // live sessions are kept from wandering (stream/drift_guard.h)
};

// The weights of hashed prompts lie in the transformer's file, those of UMT5 in its own.
using PromptConfig = std::variant<HashedPromptConfig, Umt5PromptConfig>;

// What a file of the model must be.
struct ModelFile {
  uint64_t bytes = 0;
  std::string sha256;  // 64 lower-case hexadecimal digits
  std::string source;  // name of the file that it was made from; empty where it was not
};

struct ModelConfig {
  std::string name, version, license;
  std::string architecture;   // "wan" for imported ones; a word for people
  int width = 0, height = 0;  // pixels
  // Other sizes that it paints at, for cameras of another shape.
  std::vector<PictureSize> other_sizes;
  double fps = 0;
  int frames_per_chunk = 0;
  std::string autoencoder_file, dit_file;
  CodecConfig autoencoder;
  DitConfig dit;
  bool clean_conditioning = false;  // the transformer also sees the clean latents
  Prediction prediction = Prediction::flow;
  PromptConfig prompt;
  ScheduleConfig schedule;
  std::map<std::string, ModelFile> files;  // by name; empty where model.json does not list them

  // All sizes that it paints at; the first is width x height.
  std::vector<PictureSize> sizes() const {
    std::vector<PictureSize> all = {{width, height}};
    all.insert(all.end(), other_sizes.begin(), other_sizes.end());
    return all;
  }
  // Latents of a frame at the size that has most.
  int64_t most_latents() const;
  int64_t latent_channels() const { return codec_latent_channels(autoencoder); }
  int latent_height() const { return height / static_cast<int>(codec_spatial_scale(autoencoder)); }
  int latent_width() const { return width / static_cast<int>(codec_spatial_scale(autoencoder)); }
};

// Checks everything: a missing, unknown or ill-typed key, or sizes that do not fit each other, is
// an Error that names `where`, the key, what was expected and what came.
ModelConfig parse_model_config(const Json& json, const std::string& where);

}  // namespace driftless
