// Prompts of any bytes for UMT5: cleaned text has no white space at its ends and none twice, and
// the tokens are as many as may be, all in the vocabulary, with the end mark last.

#include <cstdlib>
#include <string>

#include "core/error.h"
#include "models/tokenizer.h"

using namespace driftless;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer tokenizer(std::string(DRIFTLESS_SOURCE_DIR) +
                                   "/test/golden/checkpoints/tokenizer.model");
  if (size == 0) return 0;
  const int64_t most = 1 + data[0] % 40;
  const std::string text = clean_prompt({reinterpret_cast<const char*>(data) + 1, size - 1});
  if (!text.empty() && (text.front() == ' ' || text.back() == ' ')) std::abort();
  if (text.find("  ") != std::string::npos || text.find('\n') != std::string::npos) std::abort();
  const auto ids = tokenizer.encode(text, most);
  if (ids.empty() || ids.size() > static_cast<size_t>(most)) std::abort();
  if (ids.back() != tokenizer.end_id()) std::abort();
  for (const int32_t id : ids) {
    if (id < 0 || id >= tokenizer.vocab()) std::abort();
  }
  return 0;
}
