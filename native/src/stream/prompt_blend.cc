#include "stream/prompt_blend.h"

#include <algorithm>

#include "core/error.h"

namespace driftless {

PromptBlend::PromptBlend(Arena& arena, Ops& ops, const DitConfig& config)
    : ops_(ops),
      from_(arena.tensor({config.text_len, config.text_dim})),
      now_(arena.tensor({config.text_len, config.text_dim})) {
  ops.clear(now_);
}

size_t PromptBlend::bytes(const DitConfig& config) {
  return 2 * Arena::rounded(static_cast<size_t>(config.text_len * config.text_dim) * sizeof(float));
}

void PromptBlend::stand(const Tensor& text) {
  DL_CHECK_EQ("text embeddings", now_.shape(), text.shape());
  ops_.copy(text, now_);
  at_ = chunks_ = 0;
}

void PromptBlend::aim(const Tensor& target, int chunks) {
  DL_CHECK_EQ("text embeddings", now_.shape(), target.shape());
  ops_.copy(now_, from_);
  target_ = target;
  at_ = 0;
  chunks_ = std::max(1, chunks);
}

void PromptBlend::step() {
  if (!moving()) return;
  if (++at_ == chunks_) return stand(target_);
  const float share = static_cast<float>(at_) / static_cast<float>(chunks_);
  ops_.axpby(1 - share, from_, share, target_, now_);
}

}  // namespace driftless
