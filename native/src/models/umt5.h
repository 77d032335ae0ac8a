#pragma once

// The encoder of UMT5, which turns token ids into the text embeddings of the Wan family.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "models/weights.h"
#include "ops/ops.h"

namespace driftless {

struct Umt5Config {
  int64_t vocab = 256384;
  int64_t dim = 4096;
  int64_t attention_dim = 4096;
  int64_t ffn = 10240;
  int64_t heads = 64;
  int64_t layers = 24;
  int64_t buckets = 32;        // of relative positions
  int64_t max_distance = 128;  // beyond it all positions share a bucket
  float eps = 1e-6f;
};

// Bucket of a relative position (key minus query): exact up to a quarter of the buckets, then
// logarithmic up to max_distance; positions to the right use the second half (T5, bidirectional).
int64_t umt5_bucket(int64_t relative_position, const Umt5Config& config);

class Umt5Encoder {
 public:
  // Receives the hidden state [tokens, dim] after each block.
  using Trace = std::function<void(int64_t block, const Tensor& hidden)>;

  // Takes the weights under Wan's keys for this encoder. `ops` must outlive it.
  Umt5Encoder(const Umt5Config& config, WeightSource& weights, Ops& ops);

  // Keeps the file instead of the weights: each prompt reads block by block what it needs, and no
  // more than one block is in memory (0.8 GB instead of 23 for UMT5-XXL in f32). Throws Error when
  // the file does not fit the configuration.
  Umt5Encoder(const Umt5Config& config, std::unique_ptr<FileWeights> weights, Ops& ops);
  ~Umt5Encoder();

  const Umt5Config& config() const { return config_; }

  // ids: i32 [tokens], of which the first `length` are the prompt with its end mark and the others
  // padding -> embeddings [tokens, dim], zero behind the prompt. Throws Error for an id outside of
  // the vocabulary.
  void encode(const Tensor& ids, int64_t length, const Tensor& embeddings,
              const Trace& trace = nullptr);

 private:
  struct Block;

  static Block take_block(const Umt5Config& config, int64_t index, WeightSource& weights, Ops& ops);
  void check_config() const;
  Tensor embed(const Tensor& ids);
  void attend(const Block& block, const Tensor& x, int64_t length);
  void feed_forward(const Block& block, const Tensor& x);

  Umt5Config config_;
  Ops& ops_;
  Arena parameters_, scratch_;
  Tensor norm_;  // [dim]
  // Either the weights, or the file to read them from.
  Tensor embedding_;  // [vocab, dim]
  std::vector<Block> blocks_;
  std::unique_ptr<FileWeights> file_;
};

}  // namespace driftless
