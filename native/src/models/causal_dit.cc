#include "models/causal_dit.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "core/error.h"

namespace driftless {

namespace {

std::unique_ptr<PackedLinear> take_linear(WeightSource& weights, Ops& ops, const std::string& key,
                                          int64_t out, int64_t in) {
  Arena arena;
  const Tensor w = weights.take(key + ".weight", {out, in}, arena);
  const Tensor b = weights.take(key + ".bias", {out}, arena);
  return ops.pack_linear(w, b);
}

struct Attention {
  std::unique_ptr<PackedLinear> q, k, v, o;
  Tensor norm_q, norm_k;
};

Attention take_attention(WeightSource& weights, Ops& ops, Arena& parameters, const std::string& key,
                         int64_t d) {
  Attention a;
  a.q = take_linear(weights, ops, key + ".q", d, d);
  a.k = take_linear(weights, ops, key + ".k", d, d);
  a.v = take_linear(weights, ops, key + ".v", d, d);
  a.o = take_linear(weights, ops, key + ".o", d, d);
  a.norm_q = take_parameter(weights, key + ".norm_q.weight", {d}, ops, parameters);
  a.norm_k = take_parameter(weights, key + ".norm_k.weight", {d}, ops, parameters);
  return a;
}

}  // namespace

struct CausalDit::Block {
  Tensor modulation;  // [6 * d]
  Attention self, cross;
  Tensor norm3_weight, norm3_bias;
  std::unique_ptr<PackedLinear> ffn0, ffn2;
};

// The tensors of one forward; they live in the scratch arena.
struct CausalDit::Batch {
  const DitRow* rows = nullptr;
  int64_t count = 0;
  int64_t frames = 0;                 // of all rows
  int64_t height = 0, width = 0;      // in tokens
  int64_t tokens = 0;                 // of all rows
  double* timesteps = nullptr;        // [frames]
  double* query_positions = nullptr;  // [frames]
  double* key_positions = nullptr;    // [frames]
  AttentionRow* attention = nullptr;  // [count]
  RingRow* rings = nullptr;           // [count]
  Tensor x;                           // [tokens, d], the residual stream
  Tensor normed, q, k, v;             // [tokens, d]
  Tensor hidden;                      // [tokens, ffn]
  Tensor e;                           // [frames, d]
  Tensor e0;                          // [frames, 6 * d]
  Tensor modulation;                  // [frames, 6 * d], e0 plus the block's own

  GroupVectors vector(int64_t index, int64_t d) const {
    return GroupVectors{modulation.f32_address() + index * d, frames, 6 * d};
  }
};

CausalDit::~CausalDit() = default;

CausalDit::CausalDit(const DitConfig& config, WeightSource& weights, Ops& ops)
    : config_(config), ops_(ops), parameters_(size_t{1} << 20, 0, ops.memory()) {
  const int64_t d = config.dim;
  DL_CHECK(config.heads > 0 && d % config.heads == 0 && config.head_dim() % 2 == 0, "dit.heads",
           "a divisor of dim " + std::to_string(d) + " with an even quotient", config.heads);
  const int64_t p = config.patch;
  Arena arena;
  const Tensor patch_weight =
      weights.take("patch_embedding.weight", {d, config.in_channels, 1, p, p}, arena);
  const Tensor patch_bias = weights.take("patch_embedding.bias", {d}, arena);
  patch_ = ops.pack_linear(patch_weight.reshape({d, config.in_channels * p * p}), patch_bias);
  text0_ = take_linear(weights, ops, "text_embedding.0", d, config.text_dim);
  text2_ = take_linear(weights, ops, "text_embedding.2", d, d);
  time0_ = take_linear(weights, ops, "time_embedding.0", d, config.freq_dim);
  time2_ = take_linear(weights, ops, "time_embedding.2", d, d);
  time_projection_ = take_linear(weights, ops, "time_projection.1", 6 * d, d);
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string key = "blocks." + std::to_string(i);
    Block block;
    block.modulation =
        take_parameter(weights, key + ".modulation", {1, 6, d}, ops, parameters_).reshape({6 * d});
    block.self = take_attention(weights, ops, parameters_, key + ".self_attn", d);
    block.cross = take_attention(weights, ops, parameters_, key + ".cross_attn", d);
    block.norm3_weight = take_parameter(weights, key + ".norm3.weight", {d}, ops, parameters_);
    block.norm3_bias = take_parameter(weights, key + ".norm3.bias", {d}, ops, parameters_);
    block.ffn0 = take_linear(weights, ops, key + ".ffn.0", config.ffn, d);
    block.ffn2 = take_linear(weights, ops, key + ".ffn.2", d, config.ffn);
    blocks_.push_back(std::move(block));
  }
  head_modulation_ =
      take_parameter(weights, "head.modulation", {1, 2, d}, ops, parameters_).reshape({2, d});
  head_ = take_linear(weights, ops, "head.head", config.out_channels * p * p, d);
}

PromptKv PromptKv::in(Arena& arena, const DitConfig& config) {
  PromptKv prompt;
  for (int64_t i = 0; i < config.layers; ++i) {
    const Tensor k = arena.tensor({config.text_len, config.dim}, config.kv_dtype);
    prompt.layers.push_back({k, arena.tensor(k.shape(), config.kv_dtype)});
  }
  return prompt;
}

size_t PromptKv::bytes(const DitConfig& config) {
  return 2 * static_cast<size_t>(config.layers) *
         Arena::rounded(static_cast<size_t>(config.text_len * config.dim) *
                        dtype_size(config.kv_dtype));
}

std::shared_ptr<const PromptKv> CausalDit::encode_prompt(const Tensor& text, const Trace& trace) {
  struct Owner {
    Arena memory;
    PromptKv prompt;
  };
  auto owner =
      std::make_shared<Owner>(Owner{Arena(PromptKv::bytes(config_), 0, ops_.memory()), {}});
  owner->prompt = PromptKv::in(owner->memory, config_);
  encode_prompt(text, owner->prompt, trace);
  return std::shared_ptr<const PromptKv>(owner, &owner->prompt);
}

void CausalDit::encode_prompt(const Tensor& text, const PromptKv& prompt, const Trace& trace) {
  const ArenaScope scope(ops_.arena());
  const int64_t n = config_.text_len, d = config_.dim;
  DL_CHECK_EQ("text embeddings", (Shape{n, config_.text_dim}), text.shape());
  const Tensor hidden = ops_.arena().tensor({n, d});
  const Tensor context = ops_.arena().tensor({n, d});
  const Tensor fresh = ops_.arena().tensor({n, d});
  LinearEpilogue gelu;
  gelu.activation = Activation::gelu_tanh;
  ops_.linear(*text0_, text, hidden, gelu);
  ops_.linear(*text2_, hidden, context);
  if (trace) trace("context", -1, context);
  DL_CHECK_EQ("layers of the prompt's keys and values", blocks_.size(), prompt.layers.size());
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Tensor &k = prompt.layers[i].k, &v = prompt.layers[i].v;
    ops_.linear(*blocks_[i].cross.k, context, fresh);
    ops_.rms_norm(fresh, blocks_[i].cross.norm_k, config_.eps, fresh);
    ops_.convert(fresh, k);
    if (trace) trace("cross_k", static_cast<int64_t>(i), fresh);
    ops_.linear(*blocks_[i].cross.v, context, fresh);
    ops_.convert(fresh, v);
  }
}

void CausalDit::embed_time(Batch& batch, const Trace& trace) {
  const int64_t d = config_.dim;
  const Tensor sinusoid = ops_.arena().tensor({batch.frames, config_.freq_dim});
  const Tensor hidden = ops_.arena().tensor({batch.frames, d});
  ops_.timestep_embedding(batch.timesteps, sinusoid);
  batch.e = ops_.arena().tensor({batch.frames, d});
  batch.e0 = ops_.arena().tensor({batch.frames, 6 * d});
  LinearEpilogue silu;
  silu.activation = Activation::silu;
  ops_.linear(*time0_, sinusoid, hidden, silu);
  ops_.linear(*time2_, hidden, batch.e);
  ops_.activate(Activation::silu, batch.e, hidden);
  ops_.linear(*time_projection_, hidden, batch.e0);
  if (trace) {
    trace("sinusoid", -1, sinusoid);
    trace("e", -1, batch.e);
    trace("e0", -1, batch.e0);
  }
}

void CausalDit::self_attention(int64_t layer, Batch& batch, const Trace& trace) {
  const Block& block = blocks_[static_cast<size_t>(layer)];
  const int64_t d = config_.dim, heads = config_.heads, head_dim = config_.head_dim();
  ops_.layer_norm(batch.x, {}, {}, batch.vector(1, d), batch.vector(0, d), config_.eps,
                  batch.normed);
  if (trace) trace("sa_in", layer, batch.normed);
  ops_.linear(*block.self.q, batch.normed, batch.q);
  ops_.linear(*block.self.k, batch.normed, batch.k);
  ops_.linear(*block.self.v, batch.normed, batch.v);
  if (!into_rings(layer, batch)) into_caches(layer, batch);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  ops_.attention(batch.attention, batch.count, heads, head_dim, scale);
  if (trace) {
    ops_.linear(*block.self.o, batch.q, batch.normed);
    trace("self_attn", layer, batch.normed);
  }
  LinearEpilogue add;
  add.residual = batch.x;
  add.gate = batch.vector(2, d);
  ops_.linear(*block.self.o, batch.q, batch.x, add);
}

// Norm, RoPE and memory of all rows in one operation, where every row has a plain ring.
bool CausalDit::into_rings(int64_t layer, Batch& batch) {
  const Block& block = blocks_[static_cast<size_t>(layer)];
  const int64_t tokens = batch.height * batch.width;
  for (int64_t r = 0; r < batch.count; ++r) {
    const DitRow& row = batch.rows[r];
    KvView view;
    if (row.frames != 1 || !row.cache->ring(static_cast<int>(layer), batch.rings[r], view)) {
      return false;
    }
    float* at = batch.q.f32_address() + r * tokens * config_.dim;
    batch.attention[r] = AttentionRow{at, view.k, view.v, at, tokens, view.tokens, view.dtype};
  }
  const RingNorms norms{block.self.norm_q, block.self.norm_k, config_.eps};
  ops_.append_to_rings(batch.q, batch.k, batch.v, norms, batch.height, batch.width, batch.rings,
                       batch.count);
  return true;
}

// The same for any kind of memory.
void CausalDit::into_caches(int64_t layer, Batch& batch) {
  const Block& block = blocks_[static_cast<size_t>(layer)];
  const int64_t d = config_.dim, per_frame = batch.height * batch.width;
  ops_.rms_norm(batch.q, block.self.norm_q, config_.eps, batch.q);
  ops_.rms_norm(batch.k, block.self.norm_k, config_.eps, batch.k);
  const Shape split{batch.frames, per_frame, config_.heads, config_.head_dim()};
  const Tensor q = batch.q.reshape(split), k = batch.k.reshape(split);
  ops_.rope3d(q, batch.query_positions, batch.height, batch.width, q);
  ops_.rope3d(k, batch.key_positions, batch.height, batch.width, k);
  int64_t token = 0;
  for (int64_t r = 0; r < batch.count; ++r) {
    const int64_t tokens = batch.rows[r].frames * per_frame;
    const KvView view =
        batch.rows[r].cache->append(static_cast<int>(layer), batch.k.f32_address() + token * d,
                                    batch.v.f32_address() + token * d, static_cast<int>(tokens));
    float* at = batch.q.f32_address() + token * d;
    batch.attention[r] = AttentionRow{at, view.k, view.v, at, tokens, view.tokens, view.dtype};
    token += tokens;
  }
}

void CausalDit::cross_attention(int64_t layer, Batch& batch, const Trace& trace) {
  const Block& block = blocks_[static_cast<size_t>(layer)];
  const int64_t d = config_.dim, heads = config_.heads, head_dim = config_.head_dim();
  ops_.layer_norm(batch.x, block.norm3_weight, block.norm3_bias, {}, {}, config_.eps, batch.normed);
  ops_.linear(*block.cross.q, batch.normed, batch.q);
  ops_.rms_norm(batch.q, block.cross.norm_q, config_.eps, batch.q);
  int64_t token = 0;
  for (int64_t r = 0; r < batch.count; ++r) {
    const int64_t tokens = batch.rows[r].frames * batch.height * batch.width;
    const PromptKv::Layer& prompt = batch.rows[r].prompt->layers[static_cast<size_t>(layer)];
    float* at = batch.q.f32_address() + token * d;
    batch.attention[r] = AttentionRow{at,     prompt.k.data(),  prompt.v.data(), at,
                                      tokens, config_.text_len, prompt.k.dtype()};
    token += tokens;
  }
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  ops_.attention(batch.attention, batch.count, heads, head_dim, scale);
  if (trace) {
    ops_.linear(*block.cross.o, batch.q, batch.normed);
    trace("cross_attn", layer, batch.normed);
  }
  LinearEpilogue add;
  add.residual = batch.x;
  ops_.linear(*block.cross.o, batch.q, batch.x, add);
}

void CausalDit::feed_forward(int64_t layer, Batch& batch, const Trace& trace) {
  const Block& block = blocks_[static_cast<size_t>(layer)];
  const int64_t d = config_.dim;
  ops_.layer_norm(batch.x, {}, {}, batch.vector(4, d), batch.vector(3, d), config_.eps,
                  batch.normed);
  LinearEpilogue gelu;
  gelu.activation = Activation::gelu_tanh;
  ops_.linear(*block.ffn0, batch.normed, batch.hidden, gelu);
  if (trace) {
    ops_.linear(*block.ffn2, batch.hidden, batch.normed);
    trace("ffn", layer, batch.normed);
  }
  LinearEpilogue add;
  add.residual = batch.x;
  add.gate = batch.vector(5, d);
  ops_.linear(*block.ffn2, batch.hidden, batch.x, add);
}

void CausalDit::head(Batch& batch, const Tensor& y, const Trace& trace) {
  const int64_t d = config_.dim;
  const Tensor shift = ops_.arena().tensor({batch.frames, d});
  const Tensor scale = ops_.arena().tensor({batch.frames, d});
  ops_.affine_channels(batch.e, {}, head_modulation_.at(0), shift);
  ops_.affine_channels(batch.e, {}, head_modulation_.at(1), scale);
  ops_.layer_norm(batch.x, {}, {}, GroupVectors{scale.f32_address(), batch.frames, d},
                  GroupVectors{shift.f32_address(), batch.frames, d}, config_.eps, batch.normed);
  const int64_t out = config_.out_channels * config_.patch * config_.patch;
  const Tensor tokens = ops_.arena().tensor({batch.tokens, out});
  ops_.linear(*head_, batch.normed, tokens);
  if (trace) trace("head", -1, tokens);
  ops_.unpatchify(tokens.reshape({batch.frames, batch.height, batch.width, out}), y);
}

void CausalDit::forward(const DitRow* rows, int64_t count, const Tensor& x, const Tensor& y,
                        const Trace& trace) {
  const int64_t p = config_.patch;
  int64_t frames = 0;
  for (int64_t r = 0; r < count; ++r) frames += rows[r].frames;
  DL_CHECK(x.rank() == 4 && x.dim(0) == frames && x.dim(1) % p == 0 && x.dim(2) % p == 0 &&
               x.dim(3) == config_.in_channels,
           "dit input",
           "[" + std::to_string(frames) + ", multiple of " + std::to_string(p) + ", multiple of " +
               std::to_string(p) + ", " + std::to_string(config_.in_channels) + "]",
           x.shape());
  const int64_t threads = ops_.threads();
  if (threads == 1 || count < threads || trace) return forward_part(rows, count, x, y, trace);
  // Enough rows for everybody: one fork for the whole forward instead of one for each operation.
  const int64_t parts = count % threads == 0 ? threads : count;
  ops_.each(parts, [&](int64_t part) {
    const int64_t begin = count * part / parts, end = count * (part + 1) / parts;
    int64_t from = 0, to = 0;
    for (int64_t r = 0; r < end; ++r) (r < begin ? from : to) += rows[r].frames;
    forward_part(rows + begin, end - begin, x.slice(from, from + to), y.slice(from, from + to),
                 nullptr);
  });
}

void CausalDit::forward_part(const DitRow* rows, int64_t count, const Tensor& x, const Tensor& y,
                             const Trace& trace) {
  const ArenaScope scope(ops_.arena()), list_scope(ops_.host_arena());
  Arena& lists = ops_.host_arena();
  const int64_t d = config_.dim, p = config_.patch;
  Batch batch;
  batch.rows = rows;
  batch.count = count;
  batch.frames = x.dim(0);
  batch.height = x.dim(1) / p;
  batch.width = x.dim(2) / p;
  batch.tokens = batch.frames * batch.height * batch.width;
  const size_t doubles = static_cast<size_t>(batch.frames) * sizeof(double);
  batch.timesteps = static_cast<double*>(lists.allocate(doubles));
  batch.query_positions = static_cast<double*>(lists.allocate(doubles));
  batch.key_positions = static_cast<double*>(lists.allocate(doubles));
  batch.attention =
      static_cast<AttentionRow*>(lists.allocate(static_cast<size_t>(count) * sizeof(AttentionRow)));
  batch.rings = static_cast<RingRow*>(lists.allocate(static_cast<size_t>(count) * sizeof(RingRow)));
  std::uninitialized_default_construct_n(batch.rings, count);
  int64_t frame = 0;
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t f = 0; f < rows[r].frames; ++f, ++frame) {
      batch.timesteps[frame] = rows[r].timesteps[f];
      batch.query_positions[frame] = rows[r].cache->query_position() + static_cast<double>(f);
      batch.key_positions[frame] = rows[r].cache->key_position() + static_cast<double>(f);
    }
  }
  const Shape wide{batch.tokens, d};
  batch.x = ops_.arena().tensor(wide);
  batch.normed = ops_.arena().tensor(wide);
  batch.q = ops_.arena().tensor(wide);
  batch.k = ops_.arena().tensor(wide);
  batch.v = ops_.arena().tensor(wide);
  batch.hidden = ops_.arena().tensor({batch.tokens, config_.ffn});
  batch.modulation = ops_.arena().tensor({batch.frames, 6 * d});

  const Tensor patches =
      ops_.arena().tensor({batch.frames, batch.height, batch.width, config_.in_channels * p * p});
  ops_.pixel_unshuffle(x, patches);
  ops_.linear(*patch_, patches.reshape({batch.tokens, config_.in_channels * p * p}), batch.x);
  if (trace) trace("patch_embedding", -1, batch.x);
  embed_time(batch, trace);
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    ops_.affine_channels(batch.e0, {}, blocks_[static_cast<size_t>(layer)].modulation,
                         batch.modulation);
    self_attention(layer, batch, trace);
    cross_attention(layer, batch, trace);
    feed_forward(layer, batch, trace);
    if (trace) trace("out", layer, batch.x);
  }
  head(batch, y, trace);
}

}  // namespace driftless
