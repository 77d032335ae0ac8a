#pragma once

// Words to token ids as the published models were trained on: cleaned text, cut by SentencePiece.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace driftless {

// HTML character references are resolved, twice, because captions of the web are often escaped
// twice; runs of white space (Unicode's) become one space, none at the ends. Knows references that
// end in a semicolon: numeric ones and the names that occur in captions, not all of HTML's two
// thousand. Text in a wrong encoding is not mended, which the public implementation does.
std::string clean_prompt(const std::string& text);

class Tokenizer {
 public:
  // A SentencePiece model (spiece.model). Throws Error when it cannot be read or has no end mark.
  explicit Tokenizer(const std::string& path);
  ~Tokenizer();

  int64_t vocab() const;
  int32_t pad_id() const;
  int32_t end_id() const;

  // Ids of a cleaned text, at most `most` with the end mark, which is never cut.
  std::vector<int32_t> encode(const std::string& text, int64_t most) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace driftless
