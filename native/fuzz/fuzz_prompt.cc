// Words of a prompt of any bytes: as many ids as announced, all inside the table.

#include <cstdlib>
#include <string>

#include "models/hashed_prompt_encoder.h"

using namespace driftless;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  HashedPromptConfig config;
  config.buckets = 64;
  config.ngrams = 12;
  config.length = 6;
  config.dim = 8;
  config.aliases = {{"a b c", "x"}, {"a", "one two three"}, {"b c", "d"}};
  const std::string prompt(reinterpret_cast<const char*>(data), size);
  const auto words = hash_words(prompt, config);
  if (words.size() > static_cast<size_t>(config.length - 1)) std::abort();
  for (const auto& word : words) {
    if (word.empty() || word.size() > static_cast<size_t>(config.ngrams)) std::abort();
    for (int64_t id : word) {
      if (id < 1 || id >= config.buckets) std::abort();
    }
  }
  return 0;
}
