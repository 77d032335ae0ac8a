#pragma once

// Prompts of the Wan family: cleaned, cut into tokens, encoded by UMT5.

#include <memory>
#include <string>

#include "models/prompt_encoder.h"
#include "models/tokenizer.h"
#include "models/umt5.h"
#include "ops/ops.h"

namespace driftless {

struct Umt5PromptConfig {
  std::string file, tokenizer_file;  // beside model.json
  Umt5Config network;
  int64_t length = 512;  // tokens, the end mark included; embeddings behind it are zero
};

class Umt5PromptEncoder : public PromptEncoder {
 public:
  // Reads the tokenizer from folder `dir`, and the weights, which are kept (`resident`) or read
  // again, block by block, for every prompt. `ops` belongs to the encoder, so that it may run
  // beside others. Throws Error for a broken file or when the tokenizer has more tokens than the
  // network.
  Umt5PromptEncoder(const Umt5PromptConfig& config, const std::string& dir,
                    std::unique_ptr<Ops> ops, bool resident);

  int64_t length() const override { return config_.length; }
  int64_t dim() const override { return config_.network.dim; }
  void encode(const std::string& prompt, const Tensor& text) override;

 private:
  Umt5PromptConfig config_;
  std::unique_ptr<Ops> ops_;  // before what uses it
  Tokenizer tokenizer_;
  std::unique_ptr<Umt5Encoder> network_;
};

}  // namespace driftless
