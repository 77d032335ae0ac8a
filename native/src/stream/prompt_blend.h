#pragma once

// The way from one prompt to another: some chunks along the straight line between their text
// embeddings, so that the picture changes without a cut.

#include "core/arena.h"
#include "models/causal_dit.h"
#include "ops/ops.h"

namespace driftless {

class PromptBlend {
 public:
  // Its two embeddings lie in `arena`, where they take bytes() of `ops`' memory. `ops` must outlive
  // it.
  PromptBlend(Arena& arena, Ops& ops, const DitConfig& config);
  static size_t bytes(const DitConfig& config);

  // Stands at `text` [text_len, text_dim] from now on.
  void stand(const Tensor& text);

  // Sets out for `target`, which must outlive the way, from wherever it stands, and arrives with
  // the step number `chunks` (0: with the first, as 1).
  void aim(const Tensor& target, int chunks);

  // One chunk on; nothing happens at the end of the way.
  void step();

  // Between two prompts: before the end of a way that has begun.
  bool moving() const { return at_ < chunks_; }
  const Tensor& text() const { return now_; }

 private:
  Ops& ops_;
  Tensor from_, now_, target_;
  int at_ = 0, chunks_ = 0;
};

}  // namespace driftless
