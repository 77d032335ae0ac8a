#pragma once

// A model folder, loaded: model.json, the autoencoder, the transformer and the prompt encoder.

#include <memory>
#include <string>

#include "models/causal_dit.h"
#include "models/latent_codec.h"
#include "models/model_config.h"
#include "models/prompt_encoder.h"
#include "ops/ops.h"

namespace driftless {

class Model {
 public:
  // backend, threads, dtype: as for make_ops(). Throws Error for a missing or broken file, a
  // missing, surplus or misshaped tensor, or a type that is not a float; the message names file,
  // key, what was expected and what came.
  static std::unique_ptr<Model> load(const std::string& dir, const std::string& backend,
                                     int threads, const std::string& dtype = "f32");

  const ModelConfig& config() const { return config_; }
  Ops& ops() { return *ops_; }
  LatentCodec& codec() { return *codec_; }
  CausalDit& dit() { return *dit_; }

  // Cross-attention keys and values of a prompt.
  std::shared_ptr<const PromptKv> encode_prompt(const std::string& prompt);
  PromptEncoder& prompt_encoder() { return *prompt_encoder_; }

 private:
  Model() = default;

  ModelConfig config_;
  std::unique_ptr<Ops> ops_;  // before what uses it
  std::unique_ptr<LatentCodec> codec_;
  std::unique_ptr<CausalDit> dit_;
  std::unique_ptr<PromptEncoder> prompt_encoder_;
};

}  // namespace driftless
