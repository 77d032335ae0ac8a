#pragma once

// Prompts as the transformer takes them, encoded once for all the sessions that share their words.

#include <map>
#include <memory>
#include <string>

#include "core/arena.h"
#include "models/model.h"

namespace driftless {

struct Prompt {
  Arena memory;
  Tensor text;  // [text_len, text_dim], the encoder's output
  PromptKv kv;  // the transformer's cross-attention memory
};

// Lends prompts and keeps none: a prompt lives as long as a session or a chunk in flight holds it.
class PromptBank {
 public:
  // `model` must outlive the bank.
  explicit PromptBank(Model& model) : model_(model) {}

  // The prompt of these words; encodes it when nobody holds it.
  std::shared_ptr<const Prompt> get(const std::string& words);

  // Whether somebody holds the prompt of these words.
  bool holds(const std::string& words) const;
  // Prompts that are held, and the bytes that one takes.
  size_t held() const;
  static size_t bytes(const DitConfig& config);

 private:
  Model& model_;
  std::map<std::string, std::weak_ptr<const Prompt>> prompts_;
};

}  // namespace driftless
