#pragma once

// The causal video transformer of the Wan / StreamDiffusionV2 family, one chunk at a time over a
// key/value memory: the embedding before its blocks and the head after them. Sizes come from the
// configuration.

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "models/dit_blocks.h"
#include "models/dit_ranks.h"
#include "models/weights.h"
#include "ops/ops.h"

namespace driftless {

class CausalDit {
 public:
  using Trace = DitTrace;

  // Takes the weights under Wan's keys. `ops` must outlive the model. `ranks`: operations of the
  // devices that the blocks are split over, in order; none: they run on `ops`, on the caller's
  // thread.
  CausalDit(const DitConfig& config, WeightSource& weights, Ops& ops,
            std::vector<std::unique_ptr<Ops>> ranks = {});
  ~CausalDit();

  const DitConfig& config() const { return config_; }
  // Where keys and values have to lie.
  LayerPlaces& places() { return *places_; }

  // text: [text_len, text_dim], empty positions as zeros (they are attended like the others). With
  // ranks the work is begun only, see DitRanks::encode_prompt().
  void encode_prompt(const Tensor& text, const PromptKv& prompt, const Trace& trace = nullptr);
  // The same with memory of its own, and done when it returns.
  std::shared_ptr<const PromptKv> encode_prompt(const Tensor& text, const Trace& trace = nullptr);

  // Says that rows of so many tokens will often attend over so many keys, before anything is under
  // way; may take seconds. What the last rank found.
  LibraryUse prepare(int64_t tokens, int64_t keys);

  // x [frames of all rows, h, w, in_channels] -> y [same, h, w, out_channels], h and w multiples of
  // the patch. Writes each row's keys and values into its cache. A row's result does not depend on
  // the rows beside it. trace: not with ranks.
  void forward(const DitRow* rows, int64_t count, const Tensor& x, const Tensor& y,
               const Trace& trace = nullptr);

  // forward() in two halves. x and the timesteps may go after start(); what else rows point to, and
  // y, must stay until finish(), which ends the oldest. Without ranks start() does everything.
  void start(const DitRow* rows, int64_t count, const Tensor& x, const Tensor& y);
  void finish();
  // Whether finish() has nothing to wait for.
  bool ready() const { return ranks_ == nullptr || ranks_->ready(); }
  // Waits until prompts are encoded and what was begun has passed the ranks.
  void rest();

  // Ranks, or null.
  DitRanks* ranks() { return ranks_.get(); }

 private:
  struct Begun;

  void check_input(const DitRow* rows, int64_t count, const Tensor& x) const;
  DitTokens embed(const DitRow* rows, int64_t count, const Tensor& x, const Tensor& e,
                  const Trace& trace);
  void make_room(const DitTokens& tokens);
  void head(const DitTokens& tokens, const Tensor& e, const Tensor& y, const Trace& trace);
  void forward_part(const DitRow* rows, int64_t count, const Tensor& x, const Tensor& y,
                    const Trace& trace);
  DitRow* noted(const DitRow* rows, int64_t count);

  DitConfig config_;
  Ops& ops_;
  Arena parameters_;  // vectors that are used as they are; matrices are packed
  std::unique_ptr<PackedLinear> patch_, text0_, text2_, time0_, time2_, time_projection_, head_;
  Tensor head_modulation_;
  std::unique_ptr<LayerPlaces> places_;
  std::unique_ptr<DitBlocks> blocks_;  // one of the two
  std::unique_ptr<DitRanks> ranks_;
  // Forwards under way over the ranks, the oldest first; kept to be used again.
  std::deque<std::unique_ptr<Begun>> begun_, spare_;
};

}  // namespace driftless
