#include "models/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <cstdlib>

#include "core/error.h"

namespace driftless {

namespace {

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

struct Reference {
  const char* name;
  uint32_t code;
};
constexpr Reference kReferences[] = {
    {"amp", '&'},      {"lt", '<'},       {"gt", '>'},        {"quot", '"'},     {"apos", '\''},
    {"nbsp", 0xa0},    {"copy", 0xa9},    {"reg", 0xae},      {"deg", 0xb0},     {"middot", 0xb7},
    {"frac12", 0xbd},  {"times", 0xd7},   {"eacute", 0xe9},   {"egrave", 0xe8},  {"uuml", 0xfc},
    {"ouml", 0xf6},    {"auml", 0xe4},    {"szlig", 0xdf},    {"ccedil", 0xe7},  {"ntilde", 0xf1},
    {"ndash", 0x2013}, {"mdash", 0x2014}, {"lsquo", 0x2018},  {"rsquo", 0x2019}, {"ldquo", 0x201c},
    {"rdquo", 0x201d}, {"bull", 0x2022},  {"hellip", 0x2026}, {"euro", 0x20ac},  {"trade", 0x2122},
};

// The character that "&<name>;" stands for, 0 where it is none.
uint32_t resolve(const std::string& name) {
  if (name.size() >= 2 && name[0] == '#') {
    const bool hex = name[1] == 'x' || name[1] == 'X';
    const char* digits = name.c_str() + (hex ? 2 : 1);
    char* end = nullptr;
    const bool starts = std::isxdigit(static_cast<unsigned char>(*digits)) != 0;
    const unsigned long code = starts ? std::strtoul(digits, &end, hex ? 16 : 10) : 0;
    const bool whole = end != nullptr && *end == '\0';
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    return whole && code > 0 && code < 0x110000 && !surrogate ? static_cast<uint32_t>(code) : 0;
  }
  for (const Reference& reference : kReferences) {
    if (name == reference.name) return reference.code;
  }
  return 0;
}

std::string unescape(const std::string& text) {
  constexpr size_t kLongestName = 10;
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '&') {
      const size_t end = text.find(';', i);
      if (end != std::string::npos && end - i - 1 <= kLongestName) {
        if (const uint32_t code = resolve(text.substr(i + 1, end - i - 1))) {
          append_utf8(out, code);
          i = end;
          continue;
        }
      }
    }
    out += text[i];
  }
  return out;
}

// Bytes of the white space at `at` by Unicode's property, 0 where there is none.
size_t space_at(const std::string& text, size_t at) {
  const unsigned char c = static_cast<unsigned char>(text[at]);
  if (c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f)) return 1;
  static const char* const kWide[] = {
      "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
      "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
      "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
      "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
  for (const char* wide : kWide) {
    const size_t size = std::char_traits<char>::length(wide);
    if (text.compare(at, size, wide) == 0) return size;
  }
  return 0;
}

}  // namespace

std::string clean_prompt(const std::string& text) {
  const std::string plain = unescape(unescape(text));
  std::string out;
  bool gap = false;
  for (size_t i = 0; i < plain.size();) {
    if (const size_t space = space_at(plain, i)) {
      gap = true;
      i += space;
      continue;
    }
    if (gap && !out.empty()) out += ' ';
    gap = false;
    out += plain[i++];
  }
  return out;
}

struct Tokenizer::Impl {
  sentencepiece::SentencePieceProcessor processor;
};

Tokenizer::~Tokenizer() = default;

Tokenizer::Tokenizer(const std::string& path) : impl_(std::make_unique<Impl>()) {
  const auto status = impl_->processor.Load(path);
  if (!status.ok()) throw Error(path, "a SentencePiece model", status.ToString());
  DL_CHECK(impl_->processor.eos_id() >= 0, path + ": end mark", "a token", "none");
}

int64_t Tokenizer::vocab() const { return impl_->processor.GetPieceSize(); }

// Models without padding of their own use the first id, which nothing else reads behind the end.
int32_t Tokenizer::pad_id() const { return std::max(impl_->processor.pad_id(), 0); }

int32_t Tokenizer::end_id() const { return impl_->processor.eos_id(); }

std::vector<int32_t> Tokenizer::encode(const std::string& text, int64_t most) const {
  std::vector<int> ids;
  const auto status = impl_->processor.Encode(text, &ids);
  if (!status.ok()) throw Error("prompt", "text that can be cut into tokens", status.ToString());
  std::vector<int32_t> result(ids.begin(), ids.end());
  result.resize(std::min(result.size(), static_cast<size_t>(most - 1)));
  result.push_back(end_id());
  return result;
}

}  // namespace driftless
