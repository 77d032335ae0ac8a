#include "stream/prompt_bank.h"

#include <algorithm>

namespace driftless {

size_t PromptBank::bytes(const DitConfig& config) {
  return Arena::rounded(static_cast<size_t>(config.text_len * config.text_dim) * sizeof(float)) +
         PromptKv::bytes(config);
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
  auto prompt =
      std::make_shared<Prompt>(Prompt{Arena(bytes(config), 0, model_.ops().memory()), {}, {}});
  prompt->text = prompt->memory.tensor({config.text_len, config.text_dim});
  prompt->kv = PromptKv::in(prompt->memory, config);
  model_.embed_prompt(words, prompt->text);
  model_.dit().encode_prompt(prompt->text, prompt->kv);
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
