#pragma once

// Consecutive blocks of the causal video transformer, on one device: what a chunk's tokens go
// through between the embedding and the head (causal_dit.h).

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "core/arena.h"
#include "core/tensor.h"
#include "models/kv_cache.h"
#include "models/layer_places.h"
#include "models/weights.h"
#include "ops/ops.h"

namespace driftless {

struct DitConfig {
  int64_t dim = 0;
  int64_t ffn = 0;
  int64_t heads = 0;
  int64_t layers = 0;
  int64_t in_channels = 0;  // noisy latents, then clean ones where the model is conditioned on them
  int64_t out_channels = 0;
  int64_t patch = 2;  // rows and columns of latents per token
  int64_t freq_dim = 256;
  int64_t text_dim = 0;
  int64_t text_len = 0;
  float eps = 1e-6f;
  // What a prompt's keys and values are kept in, and those of rings: the operations' choice.
  DType kv_dtype = DType::f32, ring_dtype = DType::f32;

  int64_t head_dim() const { return dim / heads; }
};

// Cross-attention keys and values of one prompt, [text_len, dim] of the configured type each. The
// memory is the caller's, and shared by all chunks that are made with the prompt.
class PromptKv : public KvLayers {
 public:
  PromptKv(LayerPlaces& places, const DitConfig& config)
      : KvLayers(places, {config.text_len, config.dim}, config.kv_dtype) {}
  using KvLayers::bytes;
  static size_t bytes(const DitConfig& config) {
    return KvLayers::bytes(config.layers, {config.text_len, config.dim}, config.kv_dtype);
  }
};

// One (session, step) entry of a batched forward: consecutive latent frames with a timestep each.
struct DitRow {
  int64_t frames = 1;
  const double* timesteps = nullptr;  // [frames], 0..1000
  KvCache* cache = nullptr;
  const PromptKv* prompt = nullptr;
  KvMoment moment = {};  // of the cache; noted by the forward
};

// Receives intermediate values by name; `layer` is -1 outside of the blocks.
using DitTrace = std::function<void(const char* name, int64_t layer, const Tensor& value)>;

// The tokens of one forward on their way through the blocks.
struct DitTokens {
  const DitRow* rows = nullptr;
  int64_t count = 0;              // of rows
  int64_t frames = 0;             // of all rows
  int64_t height = 0, width = 0;  // in tokens
  Tensor x;                       // [frames * height * width, dim], the residual stream
  Tensor e0;                      // [frames, 6 * dim], what the timesteps say

  int64_t tokens() const { return frames * height * width; }
};

// The weights of one block.
struct DitBlock {
  struct Attention {
    std::unique_ptr<PackedLinear> q, k, v, o;
    Tensor norm_q, norm_k;
  };
  Arena parameters;   // of the vectors, which are used as they are
  Tensor modulation;  // [6 * dim]
  Attention self, cross;
  Tensor norm3_weight, norm3_bias;
  std::unique_ptr<PackedLinear> ffn0, ffn2;
};

// What libraries were found to be best at, see DitBlocks::prepare().
struct LibraryUse {
  bool rings = false;  // attention over them
  bool gates = false;  // of some product
};

class DitBlocks {
 public:
  // Blocks `first`.. of the weights under Wan's keys. `ops` must outlive the object.
  DitBlocks(const DitConfig& config, Ops& ops, int64_t first);
  ~DitBlocks();

  // Takes the next block.
  void take(WeightSource& weights);

  Ops& ops() const { return ops_; }
  int64_t first() const { return first_; }
  int64_t end() const { return first_ + static_cast<int64_t>(blocks_.size()); }

  // Looks for the fastest ways for rows of so many tokens over rings of so many keys: once, because
  // it may take seconds (Ops::prepare_attention()).
  LibraryUse prepare(int64_t tokens, int64_t keys);

  // From block `from` on, which may be end(). Changes x and writes each row's keys and values into
  // its cache. A row's result does not depend on the rows beside it.
  void run(const DitTokens& tokens, int64_t from, const DitTrace& trace = nullptr);
  // The same in parts where there is no room for all rows at once. `before`: like x, memory for
  // what x was; absent with one row. A row that is tried again writes into its cache what it wrote
  // before.
  void run_as_fits(const DitTokens& tokens, const Tensor& before, int64_t from);
  // Of the first block's weights.
  size_t block_bytes() const;

  // context [text_len, dim]: fills in the blocks' layers of the prompt.
  void encode_prompt(const Tensor& context, const PromptKv& prompt, int64_t from,
                     const DitTrace& trace = nullptr);

  // A block on its way from one device to another; the keys and values of its layer go beside it
  // (LayerPlaces::move). put_*() may throw, for want of memory.
  std::unique_ptr<DitBlock> give_first();
  std::unique_ptr<DitBlock> give_last();
  void put_first(std::unique_ptr<DitBlock> block);
  void put_last(std::unique_ptr<DitBlock> block);

 private:
  struct Work;

  void run_parts(const DitTokens& tokens, const Tensor& before, int64_t from);
  std::unique_ptr<DitBlock> adopt(std::unique_ptr<DitBlock> block);
  void begin(const DitTokens& tokens, Work& work);
  void self_attention(const DitBlock& block, int64_t layer, Work& work, const DitTrace& trace);
  bool into_rings(const DitBlock& block, int64_t layer, Work& work);
  void into_caches(const DitBlock& block, int64_t layer, Work& work);
  void attend(const PackedLinear& projection, const GroupVectors& gate, Work& work,
              const char* name, int64_t layer, const DitTrace& trace);
  void cross_attention(const DitBlock& block, int64_t layer, Work& work, const DitTrace& trace);
  // A trace's values are f32.
  void show(const DitTrace& trace, const char* name, int64_t layer, const Tensor& tokens);
  void feed_forward(const DitBlock& block, int64_t layer, Work& work, const DitTrace& trace);

  const DitConfig& config_;
  Ops& ops_;
  int64_t first_;
  std::deque<std::unique_ptr<DitBlock>> blocks_;
};

// weight [out, in] and bias [out] of a linear layer; `bulk` as in Ops::pack_linear().
std::unique_ptr<PackedLinear> take_linear(WeightSource& weights, Ops& ops, const std::string& key,
                                          int64_t out, int64_t in, bool bulk = false);

}  // namespace driftless
