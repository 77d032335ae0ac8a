#pragma once

// From the words of a prompt to what the transformer's text_embedding takes.

#include <cstdint>
#include <string>

#include "core/tensor.h"

namespace driftless {

class PromptEncoder {
 public:
  virtual ~PromptEncoder() = default;

  virtual int64_t length() const = 0;  // tokens, used or not
  virtual int64_t dim() const = 0;

  // text: [length, dim]. Prompts longer than `length` tokens are cut; any bytes are a prompt.
  virtual void encode(const std::string& prompt, const Tensor& text) = 0;
};

}  // namespace driftless
