#include "models/umt5.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "core/error.h"
#include "models/tensor_list.h"

namespace driftless {

namespace {

std::unique_ptr<PackedLinear> take_matrix(WeightSource& weights, Ops& ops, const std::string& key,
                                          int64_t out, int64_t in) {
  Arena arena;
  return ops.pack_linear(weights.take(key + ".weight", {out, in}, arena), {});
}

// softmax(logits) in place.
void softmax(float* logits, int64_t count) {
  const float top = *std::max_element(logits, logits + count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    logits[i] = std::exp(logits[i] - top);
    sum += logits[i];
  }
  const float scale = static_cast<float>(1.0 / sum);
  for (int64_t i = 0; i < count; ++i) logits[i] *= scale;
}

}  // namespace

struct Umt5Encoder::Block {
  Arena parameters{size_t{1} << 16};
  Tensor norm1, norm2;
  Tensor bias;  // [buckets, heads]
  std::unique_ptr<PackedLinear> q, k, v, o, gate, fc1, fc2;
};

int64_t umt5_bucket(int64_t relative_position, const Umt5Config& config) {
  const int64_t half = config.buckets / 2, exact = half / 2;
  const int64_t side = relative_position > 0 ? half : 0;
  const int64_t distance = std::abs(relative_position);
  if (distance < exact) return side + distance;
  // In single precision, as the reference: the borders of the buckets depend on it.
  const float share = std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
                      static_cast<float>(std::log(static_cast<double>(config.max_distance) /
                                                  static_cast<double>(exact)));
  const auto step = static_cast<int64_t>(share * static_cast<float>(half - exact));
  return side + std::min(exact + step, half - 1);
}

Umt5Encoder::~Umt5Encoder() = default;

void Umt5Encoder::check_config() const {
  DL_CHECK(config_.heads > 0 && config_.attention_dim % config_.heads == 0, "umt5.heads",
           "a divisor of the attention's width " + std::to_string(config_.attention_dim),
           config_.heads);
}

Umt5Encoder::Block Umt5Encoder::take_block(const Umt5Config& config, int64_t index,
                                           WeightSource& weights, Ops& ops) {
  const int64_t d = config.dim, a = config.attention_dim, f = config.ffn;
  const std::string key = "blocks." + std::to_string(index);
  Block block;
  block.norm1 = weights.take(key + ".norm1.weight", {d}, block.parameters);
  block.norm2 = weights.take(key + ".norm2.weight", {d}, block.parameters);
  block.bias = weights.take(key + ".pos_embedding.embedding.weight", {config.buckets, config.heads},
                            block.parameters);
  block.q = take_matrix(weights, ops, key + ".attn.q", a, d);
  block.k = take_matrix(weights, ops, key + ".attn.k", a, d);
  block.v = take_matrix(weights, ops, key + ".attn.v", a, d);
  block.o = take_matrix(weights, ops, key + ".attn.o", d, a);
  block.gate = take_matrix(weights, ops, key + ".ffn.gate.0", f, d);
  block.fc1 = take_matrix(weights, ops, key + ".ffn.fc1", f, d);
  block.fc2 = take_matrix(weights, ops, key + ".ffn.fc2", d, f);
  return block;
}

Umt5Encoder::Umt5Encoder(const Umt5Config& config, WeightSource& weights, Ops& ops)
    : config_(config), ops_(ops) {
  check_config();
  embedding_ = weights.take("token_embedding.weight", {config.vocab, config.dim}, parameters_);
  norm_ = weights.take("norm.weight", {config.dim}, parameters_);
  for (int64_t i = 0; i < config.layers; ++i) {
    blocks_.push_back(take_block(config, i, weights, ops));
  }
}

Umt5Encoder::Umt5Encoder(const Umt5Config& config, std::unique_ptr<FileWeights> weights, Ops& ops)
    : config_(config), ops_(ops), file_(std::move(weights)) {
  check_config();
  const std::vector<std::string> findings = compare_tensors(file_->file(), umt5_tensors(config));
  if (!findings.empty()) throw Error(findings.front());
  norm_ = file_->take("norm.weight", {config.dim}, parameters_);
}

// The rows of the embedding table, [tokens, dim] in the scratch arena.
Tensor Umt5Encoder::embed(const Tensor& ids) {
  const int64_t d = config_.dim;
  for (int64_t t = 0; t < ids.count(); ++t) {
    const int64_t id = ids.i32()[t];
    DL_CHECK(id >= 0 && id < config_.vocab, "umt5: token id",
             "0 to " + std::to_string(config_.vocab - 1), id);
  }
  if (file_) {
    const std::vector<int32_t> rows(ids.i32(), ids.i32() + ids.count());
    return file_->take_rows("token_embedding.weight", {config_.vocab, d}, rows, scratch_);
  }
  const Tensor x = scratch_.tensor({ids.count(), d});
  for (int64_t t = 0; t < ids.count(); ++t) {
    std::copy_n(embedding_.f32() + ids.i32()[t] * d, d, x.f32() + t * d);
  }
  return x;
}

void Umt5Encoder::encode(const Tensor& ids, int64_t length, const Tensor& embeddings,
                         const Trace& trace) {
  const int64_t tokens = ids.count(), d = config_.dim;
  DL_CHECK_EQ("umt5: embeddings", (Shape{tokens, d}), embeddings.shape());
  DL_CHECK(length >= 1 && length <= tokens, "umt5: prompt length", "1 to " + std::to_string(tokens),
           length);
  const ArenaScope scope(scratch_);
  const Tensor x = embed(ids);
  for (int64_t i = 0; i < config_.layers; ++i) {
    const auto run = [&](const Block& block) {
      attend(block, x, length);
      feed_forward(block, x);
    };
    if (file_) {
      run(take_block(config_, i, *file_, ops_));
    } else {
      run(blocks_[static_cast<size_t>(i)]);
    }
    if (trace) trace(i, x);
  }
  ops_.rms_norm(x, norm_, config_.eps, embeddings);
  std::fill(embeddings.f32() + length * d, embeddings.f32() + tokens * d, 0.0f);
}

// x += o(softmax(q k^T + bias) v), without the usual 1 / sqrt(d) (T5). Padding is never a key.
void Umt5Encoder::attend(const Block& block, const Tensor& x, int64_t length) {
  const ArenaScope scope(scratch_);
  const int64_t tokens = x.dim(0), heads = config_.heads, a = config_.attention_dim;
  const int64_t head_dim = a / heads;
  const Tensor normed = scratch_.tensor(x.shape());
  ops_.rms_norm(x, block.norm1, config_.eps, normed);
  const Tensor q = scratch_.tensor({tokens, a}), k = scratch_.tensor({length, a});
  const Tensor v = scratch_.tensor({length, a}), mixed = scratch_.zeros({tokens, a});
  ops_.linear(*block.q, normed, q);
  ops_.linear(*block.k, normed.slice(0, length), k);
  ops_.linear(*block.v, normed.slice(0, length), v);
  const Tensor logits = scratch_.tensor({length});
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t i = 0; i < tokens; ++i) {
      const float* query = q.f32() + i * a + head * head_dim;
      for (int64_t j = 0; j < length; ++j) {
        const float* key = k.f32() + j * a + head * head_dim;
        float dot = 0;
        for (int64_t c = 0; c < head_dim; ++c) dot += query[c] * key[c];
        logits.f32()[j] = dot + block.bias.f32()[umt5_bucket(j - i, config_) * heads + head];
      }
      softmax(logits.f32(), length);
      float* out = mixed.f32() + i * a + head * head_dim;
      for (int64_t j = 0; j < length; ++j) {
        const float weight = logits.f32()[j];
        const float* value = v.f32() + j * a + head * head_dim;
        for (int64_t c = 0; c < head_dim; ++c) out[c] += weight * value[c];
      }
    }
  }
  LinearEpilogue add;
  add.residual = x;
  ops_.linear(*block.o, mixed, x, add);
}

// x += fc2(fc1(n) * gelu(gate(n))).
void Umt5Encoder::feed_forward(const Block& block, const Tensor& x) {
  const ArenaScope scope(scratch_);
  const Tensor normed = scratch_.tensor(x.shape());
  ops_.rms_norm(x, block.norm2, config_.eps, normed);
  const Tensor gate = scratch_.tensor({x.dim(0), config_.ffn});
  const Tensor hidden = scratch_.tensor({x.dim(0), config_.ffn});
  LinearEpilogue gelu;
  gelu.activation = Activation::gelu_tanh;
  ops_.linear(*block.gate, normed, gate, gelu);
  ops_.linear(*block.fc1, normed, hidden);
  for (int64_t i = 0; i < hidden.count(); ++i) hidden.f32()[i] *= gate.f32()[i];
  LinearEpilogue add;
  add.residual = x;
  ops_.linear(*block.fc2, hidden, x, add);
}

}  // namespace driftless
