#include "stream/prompt_blend.h"

#include <algorithm>

#include "core/error.h"

namespace driftless {

PromptBlend::PromptBlend(Arena& arena, const DitConfig& config)
    : from_(arena.zeros({config.text_len, config.text_dim})),
      now_(arena.zeros({config.text_len, config.text_dim})) {}

size_t PromptBlend::bytes(const DitConfig& config) {
  return 2 * Arena::rounded(static_cast<size_t>(config.text_len * config.text_dim) * sizeof(float));
}

void PromptBlend::stand(const Tensor& text) {
  DL_CHECK_EQ("text embeddings", now_.shape(), text.shape());
  std::copy_n(text.f32(), text.count(), now_.f32());
  at_ = chunks_ = 0;
}

void PromptBlend::aim(const Tensor& target, int chunks) {
  DL_CHECK_EQ("text embeddings", now_.shape(), target.shape());
  std::copy_n(now_.f32(), now_.count(), from_.f32());
  target_ = target;
  at_ = 0;
  chunks_ = std::max(1, chunks);
}

void PromptBlend::step() {
  if (!moving()) return;
  if (++at_ == chunks_) return stand(target_);
  const float share = static_cast<float>(at_) / static_cast<float>(chunks_);
  const float *from = from_.f32(), *to = target_.f32();
  float* now = now_.f32();
  for (int64_t i = 0; i < now_.count(); ++i) now[i] = from[i] + share * (to[i] - from[i]);
}

}  // namespace driftless
