#pragma once

// The prompt encoder of the small default model: words as bags of hashed n-grams. It needs no
// vocabulary file, knows misspelt words by their parts, and costs microseconds.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "models/prompt_encoder.h"
#include "models/weights.h"
#include "ops/ops.h"

namespace driftless {

struct HashedPromptConfig {
  int64_t buckets = 0;  // rows of the embedding table; row 0 stands for "nothing"
  int64_t ngrams = 0;   // at most so many per word
  int64_t length = 0;   // tokens: one for the sentence, the others for its first words
  int64_t dim = 0;
  // Words that the training did not know, by those it did: the longest run of words that is a key
  // is read as its value. Keys are lower-case words with single spaces, at most kLongestAlias.
  std::map<std::string, std::string> aliases;
  static constexpr size_t kLongestAlias = 3;
};

// The words of a prompt: runs of [a-z0-9] after lower-casing ASCII; everything else separates.
std::vector<std::string> split_words(const std::string& prompt);

// Ids of the words of a prompt, aliases replaced: up to length - 1 words with up to `ngrams` ids
// each.
std::vector<std::vector<int64_t>> hash_words(const std::string& prompt,
                                             const HashedPromptConfig& config);

class HashedPromptEncoder : public PromptEncoder {
 public:
  // Takes the weights under "prompt.…". `ops` belongs to the encoder, so that it may run beside
  // others.
  HashedPromptEncoder(const HashedPromptConfig& config, WeightSource& weights,
                      std::unique_ptr<Ops> ops);

  const HashedPromptConfig& config() const { return config_; }

  int64_t length() const override { return config_.length; }
  int64_t dim() const override { return config_.dim; }
  void encode(const std::string& prompt, const Tensor& text) override;

 private:
  HashedPromptConfig config_;
  std::unique_ptr<Ops> ops_;  // before what uses it
  Arena parameters_;
  Tensor embedding_;  // [buckets, dim]
  Tensor position_;   // [length, dim]
  std::unique_ptr<PackedLinear> pool0_, pool2_;
};

}  // namespace driftless
