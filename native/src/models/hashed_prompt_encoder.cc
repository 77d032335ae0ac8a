#include "models/hashed_prompt_encoder.h"

#include <zlib.h>

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace driftless {

namespace {

int64_t bucket_of(const std::string& text, int64_t buckets) {
  const uLong crc =
      crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size()));
  return 1 + static_cast<int64_t>(crc) % (buckets - 1);
}

std::vector<int64_t> hash_word(const std::string& word, const HashedPromptConfig& config) {
  const std::string marked = "<" + word + ">";
  std::vector<int64_t> ids{bucket_of(marked, config.buckets)};
  for (size_t i = 0; i + 3 <= marked.size(); ++i) {
    if (static_cast<int64_t>(ids.size()) >= config.ngrams) break;
    ids.push_back(bucket_of(marked.substr(i, 3), config.buckets));
  }
  return ids;
}

// Reads aliases from left to right, the longest first; what they stand for is not read again.
std::vector<std::string> replace_aliases(const std::vector<std::string>& words,
                                         const std::map<std::string, std::string>& aliases) {
  std::vector<std::string> replaced;
  for (size_t at = 0; at < words.size();) {
    size_t taken = 0;
    for (size_t count = std::min(HashedPromptConfig::kLongestAlias, words.size() - at);
         count > 0 && taken == 0; --count) {
      std::string phrase = words[at];
      for (size_t i = 1; i < count; ++i) phrase += " " + words[at + i];
      const auto found = aliases.find(phrase);
      if (found == aliases.end()) continue;
      for (const std::string& word : split_words(found->second)) replaced.push_back(word);
      taken = count;
    }
    if (taken == 0) replaced.push_back(words[at]);
    at += std::max<size_t>(1, taken);
  }
  return replaced;
}

}  // namespace

std::vector<std::string> split_words(const std::string& prompt) {
  std::vector<std::string> words;
  std::string word;
  for (size_t i = 0; i <= prompt.size(); ++i) {
    char c = i < prompt.size() ? prompt[i] : ' ';
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      word.push_back(c);
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  return words;
}

std::vector<std::vector<int64_t>> hash_words(const std::string& prompt,
                                             const HashedPromptConfig& config) {
  std::vector<std::string> words = replace_aliases(split_words(prompt), config.aliases);
  words.resize(std::min(words.size(), static_cast<size_t>(config.length - 1)));
  std::vector<std::vector<int64_t>> ids;
  for (const std::string& word : words) ids.push_back(hash_word(word, config));
  return ids;
}

HashedPromptEncoder::HashedPromptEncoder(const HashedPromptConfig& config, WeightSource& weights,
                                         std::unique_ptr<Ops> ops)
    : config_(config), ops_(std::move(ops)) {
  DL_CHECK(config.buckets >= 2, "prompt.buckets", "at least 2", config.buckets);
  DL_CHECK(config.length >= 2, "prompt.length", "at least 2", config.length);
  embedding_ = weights.take("prompt.embedding.weight", {config.buckets, config.dim}, parameters_);
  position_ = weights.take("prompt.position", {config.length, config.dim}, parameters_);
  Arena arena;
  for (const char* name : {"prompt.pool.0", "prompt.pool.2"}) {
    const Tensor w = weights.take(std::string(name) + ".weight", {config.dim, config.dim}, arena);
    const Tensor b = weights.take(std::string(name) + ".bias", {config.dim}, arena);
    (pool0_ == nullptr ? pool0_ : pool2_) = ops_->pack_linear(w, b);
  }
}

void HashedPromptEncoder::encode(const std::string& prompt, const Tensor& text) {
  const int64_t dim = config_.dim;
  DL_CHECK_EQ("prompt embeddings", (Shape{config_.length, dim}), text.shape());
  const std::vector<std::vector<int64_t>> words = hash_words(prompt, config_);
  std::fill_n(text.f32(), text.count(), 0.0f);
  Arena scratch;
  const Tensor mean = scratch.zeros({1, dim});
  for (size_t w = 0; w < words.size(); ++w) {
    float* vector = text.f32() + static_cast<int64_t>(w + 1) * dim;
    for (int64_t id : words[w]) {
      const float* row = embedding_.f32() + id * dim;
      for (int64_t c = 0; c < dim; ++c) vector[c] += row[c];
    }
    const float share = 1.0f / static_cast<float>(words[w].size());
    for (int64_t c = 0; c < dim; ++c) {
      vector[c] *= share;
      mean.f32()[c] += vector[c] / static_cast<float>(words.size());
    }
  }
  const Tensor hidden = scratch.tensor({1, dim});
  LinearEpilogue gelu;
  gelu.activation = Activation::gelu_tanh;
  ops_->linear(*pool0_, mean, hidden, gelu);
  ops_->linear(*pool2_, hidden, text.slice(0, 1));
  ops_->axpby(1.0f, text, 1.0f, position_, text);
}

}  // namespace driftless
