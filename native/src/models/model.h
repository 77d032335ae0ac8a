#pragma once

// A model folder, loaded: model.json, the autoencoder, the transformer and its prompts.

#include <memory>
#include <string>
#include <vector>

#include "models/causal_dit.h"
#include "models/latent_codec.h"
#include "models/model_config.h"
#include "models/prompt_cache.h"
#include "ops/ops.h"

namespace driftless {

class Model {
 public:
  // backend, threads, dtype: as for make_ops(); several backends with commas between them split the
  // transformer over them, see ranks_of(), and the first one's device also does all the rest.
  // `residency` is about the prompt encoder of Wan's models, which is loaded when a prompt first
  // needs it; the small one of hashed prompts always stays. Throws Error for a missing or broken
  // file, a missing, surplus or misshaped tensor, or a type that is not a float; the message names
  // file, key, what was expected and what came.
  static std::unique_ptr<Model> load(const std::string& dir, const std::string& backend,
                                     int threads, const std::string& dtype = "f32",
                                     EncoderResidency residency = EncoderResidency::release);

  // Backends of the devices that have the transformer's blocks (DitRanks); empty: they run with all
  // the rest. A single one that can do both at once is a rank of its own, so that the autoencoder
  // works on one batch beside the blocks that work on another. Not where a clean context pass ends
  // a chunk in every block before the next one begins.
  static std::vector<std::string> ranks_of(const ModelConfig& config, const std::string& backend);

  const ModelConfig& config() const { return config_; }
  Ops& ops() { return *ops_; }
  LatentCodec& codec() { return *codec_; }
  CausalDit& dit() { return *dit_; }

  // Prompts by their words. The only part of a model that any thread may use at any time: call
  // prompts().prepare() on one that may wait, and encode_prompt() afterwards takes no loading.
  PromptCache& prompts() { return *prompts_; }

  // What the transformer reads of a prompt: text [dit.text_len, dit.text_dim], in any memory.
  void embed_prompt(const std::string& prompt, const Tensor& text);

  // Has the operations look for the fastest ways for pictures of so many pixels: of attention over
  // a full ring and over a prompt, what all chunks but a stream's first ones come with, and of the
  // autoencoder's convolutions. May take seconds; nothing may be under way.
  void prepare(int64_t width, int64_t height);

  // Cross-attention keys and values of a prompt.
  std::shared_ptr<const PromptKv> encode_prompt(const std::string& prompt);

 private:
  Model() = default;

  ModelConfig config_;
  std::unique_ptr<Ops> ops_;  // before what uses it
  std::unique_ptr<LatentCodec> codec_;
  std::unique_ptr<CausalDit> dit_;
  std::unique_ptr<PromptCache> prompts_;
};

}  // namespace driftless
