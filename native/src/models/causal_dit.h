#pragma once

// The causal video transformer of the Wan / StreamDiffusionV2 family, one chunk at a time over a
// key/value memory. Sizes come from the configuration.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "models/kv_cache.h"
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
  DType kv_dtype = DType::f32;  // what keys and values are kept in: the operations' choice

  int64_t head_dim() const { return dim / heads; }
};

// Cross-attention keys and values of one prompt, [text_len, dim] of the configured type each. A
// view: the memory is the caller's, and shared by all chunks that are made with the prompt.
struct PromptKv {
  struct Layer {
    Tensor k, v;
  };
  std::vector<Layer> layers;

  // Room in `arena`, uninitialised, and the bytes that it takes there.
  static PromptKv in(Arena& arena, const DitConfig& config);
  static size_t bytes(const DitConfig& config);
};

// One (session, step) entry of a batched forward: consecutive latent frames with a timestep each.
struct DitRow {
  int64_t frames = 1;
  const double* timesteps = nullptr;  // [frames], 0..1000
  KvCache* cache = nullptr;
  const PromptKv* prompt = nullptr;
};

class CausalDit {
 public:
  // Receives intermediate values by name; `layer` is -1 outside of the blocks.
  using Trace = std::function<void(const char* name, int64_t layer, const Tensor& value)>;

  // Takes the weights under Wan's keys. `ops` must outlive the model.
  CausalDit(const DitConfig& config, WeightSource& weights, Ops& ops);
  ~CausalDit();

  const DitConfig& config() const { return config_; }

  // text: [text_len, text_dim], empty positions as zeros (they are attended like the others).
  void encode_prompt(const Tensor& text, const PromptKv& prompt, const Trace& trace = nullptr);
  // The same with memory of its own.
  std::shared_ptr<const PromptKv> encode_prompt(const Tensor& text, const Trace& trace = nullptr);

  // x [frames of all rows, h, w, in_channels] -> y [same, h, w, out_channels], h and w multiples of
  // the patch. Writes each row's keys and values into its cache. A row's result does not depend on
  // the rows beside it.
  void forward(const DitRow* rows, int64_t count, const Tensor& x, const Tensor& y,
               const Trace& trace = nullptr);

 private:
  struct Block;
  struct Batch;

  void forward_part(const DitRow* rows, int64_t count, const Tensor& x, const Tensor& y,
                    const Trace& trace);
  void embed_time(Batch& batch, const Trace& trace);
  void self_attention(int64_t layer, Batch& batch, const Trace& trace);
  bool into_rings(int64_t layer, Batch& batch);
  void into_caches(int64_t layer, Batch& batch);
  void cross_attention(int64_t layer, Batch& batch, const Trace& trace);
  void feed_forward(int64_t layer, Batch& batch, const Trace& trace);
  void head(Batch& batch, const Tensor& y, const Trace& trace);

  DitConfig config_;
  Ops& ops_;
  Arena parameters_;  // vectors that are used as they are; matrices are packed
  std::unique_ptr<PackedLinear> patch_, text0_, text2_, time0_, time2_, time_projection_, head_;
  Tensor head_modulation_;
  std::vector<Block> blocks_;
};

}  // namespace driftless
