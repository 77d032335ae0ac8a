#include "stream/prompt_bank.h"

#include <algorithm>

namespace driftless {

namespace {

size_t text_bytes(const DitConfig& config) {
  return Arena::rounded(static_cast<size_t>(config.text_len * config.text_dim) * sizeof(float));
}

}  // namespace

size_t PromptBank::bytes(const DitConfig& config) {
  return text_bytes(config) + PromptKv::bytes(config);
}

std::shared_ptr<const Prompt> PromptBank::get(const std::string& words) {
  const auto found = prompts_.find(words);
  if (found != prompts_.end()) {
    if (auto prompt = found->second.lock()) return prompt;
  }
  // So the list stays as long as what sessions hold.
  for (auto it = prompts_.begin(); it != prompts_.end();) {
    it = it->second.expired() ? prompts_.erase(it) : std::next(it);
  }
  const DitConfig& config = model_.config().dit;
  CausalDit& dit = model_.dit();
  Arena memory(text_bytes(config), 0, model_.ops().memory());
  auto prompt =
      std::shared_ptr<Prompt>(new Prompt{std::move(memory), {}, PromptKv(dit.places(), config)});
  prompt->text = prompt->memory.tensor({config.text_len, config.text_dim});
  model_.embed_prompt(words, prompt->text);
  dit.encode_prompt(prompt->text, prompt->kv);
  dit.rest();
  prompts_[words] = prompt;
  return prompt;
}

bool PromptBank::holds(const std::string& words) const {
  const auto found = prompts_.find(words);
  return found != prompts_.end() && !found->second.expired();
}

size_t PromptBank::held() const {
  return static_cast<size_t>(std::count_if(
      prompts_.begin(), prompts_.end(), [](const auto& item) { return !item.second.expired(); }));
}

}  // namespace driftless
