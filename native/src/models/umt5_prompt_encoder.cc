#include "models/umt5_prompt_encoder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.h"
#include "models/weights.h"

namespace driftless {

Umt5PromptEncoder::Umt5PromptEncoder(const Umt5PromptConfig& config, const std::string& dir,
                                     std::unique_ptr<Ops> ops, bool resident)
    : config_(config), ops_(std::move(ops)), tokenizer_(dir + "/" + config.tokenizer_file) {
  DL_CHECK(tokenizer_.vocab() <= config.network.vocab, dir + "/" + config.tokenizer_file,
           "at most the network's " + std::to_string(config.network.vocab) + " tokens",
           tokenizer_.vocab());
  auto weights = std::make_unique<FileWeights>(dir + "/" + config.file);
  if (resident) {
    network_ = std::make_unique<Umt5Encoder>(config.network, *weights, *ops_);
    weights->finish();
  } else {
    network_ = std::make_unique<Umt5Encoder>(config.network, std::move(weights), *ops_);
  }
}

void Umt5PromptEncoder::encode(const std::string& prompt, const Tensor& text) {
  DL_CHECK_EQ("prompt embeddings", (Shape{length(), dim()}), text.shape());
  std::vector<int32_t> ids = tokenizer_.encode(clean_prompt(prompt), length());
  // Padding is never looked at, so only the prompt itself is worth computing.
  const auto used = static_cast<int64_t>(ids.size());
  network_->encode(Tensor(DType::i32, {used}, ids.data()), used, text.slice(0, used));
  std::fill(text.f32() + used * dim(), text.f32() + text.count(), 0.0f);
}

}  // namespace driftless
