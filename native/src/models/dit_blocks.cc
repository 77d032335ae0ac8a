#include "models/dit_blocks.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "core/error.h"

namespace driftless {

namespace {

using Attention = DitBlock::Attention;

Attention take_attention(WeightSource& weights, Ops& ops, Arena& parameters, const std::string& key,
                         int64_t d) {
  Attention a;
  a.q = take_linear(weights, ops, key + ".q", d, d, true);
  a.k = take_linear(weights, ops, key + ".k", d, d, true);
  a.v = take_linear(weights, ops, key + ".v", d, d, true);
  a.o = take_linear(weights, ops, key + ".o", d, d, true);
  a.norm_q = take_parameter(weights, key + ".norm_q.weight", {d}, ops, parameters);
  a.norm_k = take_parameter(weights, key + ".norm_k.weight", {d}, ops, parameters);
  return a;
}

// Of the vectors that a block uses as they are.
size_t parameter_bytes(int64_t d) {
  const auto bytes = [](int64_t values) {
    return Arena::rounded(static_cast<size_t>(values) * sizeof(float));
  };
  return bytes(6 * d) + 6 * bytes(d);
}

}  // namespace

std::unique_ptr<PackedLinear> take_linear(WeightSource& weights, Ops& ops, const std::string& key,
                                          int64_t out, int64_t in, bool bulk) {
  Arena arena;
  const Tensor w = weights.take(key + ".weight", {out, in}, arena);
  const Tensor b = weights.take(key + ".bias", {out}, arena);
  return ops.pack_linear(w, b, bulk);
}

// The tensors of one run; they live in the scratch arena.
struct DitBlocks::Work {
  const DitTokens* tokens = nullptr;
  double* query_positions = nullptr;  // [frames]
  double* key_positions = nullptr;    // [frames]
  AttentionRow* attention = nullptr;  // [count]
  RingRow* rings = nullptr;           // [count]
  Tensor* rotated = nullptr;          // [count]
  Tensor* values = nullptr;           // [count]
  Tensor normed, q, k, v;             // [tokens, d] of Ops::token_dtype()
  Tensor hidden;                      // [tokens, ffn], like them
  Tensor modulation;                  // [frames, 6 * d], e0 plus the block's own

  // Of tokens [begin, end), whose results take the place of what the queries were made from.
  AttentionRow row(int64_t begin, int64_t end, const KvView& view) const {
    const Tensor queries = q.slice(begin, end), out = normed.slice(begin, end);
    return {queries.data(), view.k,      view.v,     out.data(),
            end - begin,    view.tokens, view.dtype, queries.dtype()};
  }
  GroupVectors vector(int64_t index, int64_t d) const {
    return GroupVectors{modulation.f32_address() + index * d, tokens->frames, 6 * d};
  }
};

DitBlocks::DitBlocks(const DitConfig& config, Ops& ops, int64_t first)
    : config_(config), ops_(ops), first_(first) {}
DitBlocks::~DitBlocks() = default;

void DitBlocks::take(WeightSource& weights) {
  const int64_t d = config_.dim;
  const std::string key = "blocks." + std::to_string(end());
  auto block = std::make_unique<DitBlock>(
      DitBlock{Arena(parameter_bytes(d), 0, ops_.memory()), {}, {}, {}, {}, {}, nullptr, nullptr});
  Arena& parameters = block->parameters;
  const auto vector = [&](const char* name, const Shape& shape) {
    return take_parameter(weights, key + name, shape, ops_, parameters);
  };
  block->modulation = vector(".modulation", {1, 6, d}).reshape({6 * d});
  block->self = take_attention(weights, ops_, parameters, key + ".self_attn", d);
  block->cross = take_attention(weights, ops_, parameters, key + ".cross_attn", d);
  block->norm3_weight = vector(".norm3.weight", {d});
  block->norm3_bias = vector(".norm3.bias", {d});
  block->ffn0 = take_linear(weights, ops_, key + ".ffn.0", config_.ffn, d, true);
  block->ffn2 = take_linear(weights, ops_, key + ".ffn.2", d, config_.ffn, true);
  blocks_.push_back(std::move(block));
}

LibraryUse DitBlocks::prepare(int64_t tokens, int64_t keys) {
  const DitBlock& block = *blocks_.front();
  LibraryUse use;
  use.rings = ops_.prepare_attention(tokens, keys, config_.heads, config_.head_dim());
  ops_.prepare_attention(tokens, config_.text_len, config_.heads, config_.head_dim());
  for (const PackedLinear* product : {block.self.o.get(), block.ffn2.get()}) {
    use.gates = ops_.prepare_gated(*product, tokens) || use.gates;
  }
  return use;
}

// Where these operations can use it.
std::unique_ptr<DitBlock> DitBlocks::adopt(std::unique_ptr<DitBlock> block) {
  const auto linear = [this](std::unique_ptr<PackedLinear>& weights) {
    weights = ops_.adopt_linear(std::move(weights));
  };
  for (Attention* attention : {&block->self, &block->cross}) {
    for (auto* weights : {&attention->q, &attention->k, &attention->v, &attention->o}) {
      linear(*weights);
    }
  }
  linear(block->ffn0);
  linear(block->ffn2);
  Arena parameters(parameter_bytes(config_.dim), 0, ops_.memory());
  for (Tensor* vector :
       {&block->modulation, &block->self.norm_q, &block->self.norm_k, &block->cross.norm_q,
        &block->cross.norm_k, &block->norm3_weight, &block->norm3_bias}) {
    const Tensor here = parameters.tensor(vector->shape());
    ops_.copy(*vector, here);
    *vector = here;
  }
  ops_.wait();
  block->parameters = std::move(parameters);
  return block;
}

std::unique_ptr<DitBlock> DitBlocks::give_first() {
  std::unique_ptr<DitBlock> block = std::move(blocks_.front());
  blocks_.pop_front();
  ++first_;
  return block;
}

std::unique_ptr<DitBlock> DitBlocks::give_last() {
  std::unique_ptr<DitBlock> block = std::move(blocks_.back());
  blocks_.pop_back();
  return block;
}

void DitBlocks::put_first(std::unique_ptr<DitBlock> block) {
  blocks_.push_front(adopt(std::move(block)));
  --first_;
}

void DitBlocks::put_last(std::unique_ptr<DitBlock> block) {
  blocks_.push_back(adopt(std::move(block)));
}

void DitBlocks::encode_prompt(const Tensor& context, const PromptKv& prompt, int64_t from,
                              const DitTrace& trace) {
  const ArenaScope scope(ops_.arena());
  const Tensor fresh = ops_.arena().tensor(context.shape());
  for (int64_t layer = from; layer < end(); ++layer) {
    const Attention& cross = blocks_[static_cast<size_t>(layer - first_)]->cross;
    ops_.linear(*cross.k, context, fresh);
    ops_.rms_norm(fresh, cross.norm_k, config_.eps, fresh);
    ops_.convert(fresh, prompt[layer].k);
    if (trace) trace("cross_k", layer, fresh);
    ops_.linear(*cross.v, context, fresh);
    ops_.convert(fresh, prompt[layer].v);
  }
}

void DitBlocks::begin(const DitTokens& tokens, Work& work) {
  Arena &lists = ops_.host_arena(), &arena = ops_.arena();
  const auto list = [&lists](auto*& items, int64_t count) {
    using Item = std::remove_reference_t<decltype(*items)>;
    items = static_cast<Item*>(lists.allocate(static_cast<size_t>(count) * sizeof(Item)));
    std::uninitialized_default_construct_n(items, count);
  };
  const int64_t d = config_.dim, n = tokens.tokens();
  work.tokens = &tokens;
  list(work.query_positions, tokens.frames);
  list(work.key_positions, tokens.frames);
  list(work.attention, tokens.count);
  list(work.rings, tokens.count);
  list(work.rotated, tokens.count);
  list(work.values, tokens.count);
  int64_t frame = 0;
  for (int64_t r = 0; r < tokens.count; ++r) {
    const DitRow& row = tokens.rows[r];
    for (int64_t f = 0; f < row.frames; ++f, ++frame) {
      const auto after = static_cast<double>(f);
      work.query_positions[frame] = row.cache->query_position(row.moment) + after;
      work.key_positions[frame] = row.cache->key_position(row.moment) + after;
    }
    const Shape rotated = row.cache->rotated_shape();
    const DType read = row.cache->rotated_dtype();
    if (rotated.rank() > 0) work.rotated[r] = arena.tensor(rotated, read);
    if (row.cache->widens_values()) work.values[r] = arena.tensor(rotated, read);
  }
  const DType dtype = ops_.token_dtype();
  work.normed = arena.tensor({n, d}, dtype);
  work.q = arena.tensor({n, d}, dtype);
  work.k = arena.tensor({n, d}, dtype);
  work.v = arena.tensor({n, d}, dtype);
  work.hidden = arena.tensor({n, config_.ffn}, dtype);
  work.modulation = arena.tensor({tokens.frames, 6 * d});
}

void DitBlocks::run(const DitTokens& tokens, int64_t from, const DitTrace& trace) {
  const ArenaScope scope(ops_.arena()), list_scope(ops_.host_arena());
  Work work;
  begin(tokens, work);
  for (int64_t layer = from; layer < end(); ++layer) {
    const DitBlock& block = *blocks_[static_cast<size_t>(layer - first_)];
    ops_.affine_channels(tokens.e0, {}, block.modulation, work.modulation);
    self_attention(block, layer, work, trace);
    cross_attention(block, layer, work, trace);
    feed_forward(block, layer, work, trace);
    if (trace) trace("out", layer, tokens.x);
  }
}

void DitBlocks::run_as_fits(const DitTokens& tokens, const Tensor& before, int64_t from) {
  if (tokens.count > 1) ops_.copy(tokens.x, before);
  run_parts(tokens, before, from);
}

void DitBlocks::run_parts(const DitTokens& tokens, const Tensor& before, int64_t from) {
  try {
    const RepeatKey key{tokens.count, tokens.frames, tokens.height, tokens.width,
                        reinterpret_cast<intptr_t>(tokens.x.data())};
    return ops_.repeated(key, [&](int64_t) { run(tokens, from); });
  } catch (const OutOfMemory&) {
    if (tokens.count == 1) throw;
  }
  ops_.copy(before, tokens.x);
  const int64_t middle = tokens.count / 2, per_frame = tokens.height * tokens.width;
  int64_t frame = 0;
  for (const auto& [begin, end] : {std::pair{int64_t{0}, middle}, {middle, tokens.count}}) {
    DitTokens part = tokens;
    part.rows = tokens.rows + begin;
    part.count = end - begin;
    part.frames = 0;
    for (int64_t r = begin; r < end; ++r) part.frames += tokens.rows[r].frames;
    part.x = tokens.x.slice(frame * per_frame, (frame + part.frames) * per_frame);
    part.e0 = tokens.e0.slice(frame, frame + part.frames);
    const Tensor part_before = before.slice(frame * per_frame, (frame + part.frames) * per_frame);
    run_parts(part, part_before, from);
    frame += part.frames;
  }
}

size_t DitBlocks::block_bytes() const {
  const DitBlock& block = *blocks_.front();
  size_t bytes = parameter_bytes(config_.dim) + block.ffn0->bytes() + block.ffn2->bytes();
  for (const Attention* a : {&block.self, &block.cross}) {
    bytes += a->q->bytes() + a->k->bytes() + a->v->bytes() + a->o->bytes();
  }
  return bytes;
}

void DitBlocks::show(const DitTrace& trace, const char* name, int64_t layer, const Tensor& tokens) {
  const ArenaScope scope(ops_.arena());
  const Tensor values = ops_.arena().tensor(tokens.shape());
  ops_.convert(tokens, values);
  trace(name, layer, values);
}

void DitBlocks::self_attention(const DitBlock& block, int64_t layer, Work& work,
                               const DitTrace& trace) {
  const DitTokens& tokens = *work.tokens;
  const int64_t d = config_.dim;
  ops_.layer_norm(tokens.x, {}, {}, work.vector(1, d), work.vector(0, d), config_.eps, work.normed);
  if (trace) show(trace, "sa_in", layer, work.normed);
  ops_.linear(*block.self.q, work.normed, work.q);
  ops_.linear(*block.self.k, work.normed, work.k);
  ops_.linear(*block.self.v, work.normed, work.v);
  if (!into_rings(block, layer, work)) into_caches(block, layer, work);
  attend(*block.self.o, work.vector(2, d), work, "self_attn", layer, trace);
}

// Attention of the listed rows, projected and added to the residual stream.
void DitBlocks::attend(const PackedLinear& projection, const GroupVectors& gate, Work& work,
                       const char* name, int64_t layer, const DitTrace& trace) {
  const Tensor& x = work.tokens->x;
  const float scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim()));
  ops_.attention(work.attention, work.tokens->count, config_.heads, config_.head_dim(), scale);
  if (trace) {
    ops_.linear(projection, work.normed, work.q);
    show(trace, name, layer, work.q);
  }
  LinearEpilogue add;
  add.residual = x;
  add.gate = gate;
  ops_.linear(projection, work.normed, x, add);
}

// Norm, RoPE and memory of all rows in one operation, where every row has a plain ring.
bool DitBlocks::into_rings(const DitBlock& block, int64_t layer, Work& work) {
  const DitTokens& tokens = *work.tokens;
  const int64_t per_frame = tokens.height * tokens.width;
  for (int64_t r = 0; r < tokens.count; ++r) {
    const DitRow& row = tokens.rows[r];
    const KvTurn turn{ops_, static_cast<int>(layer), row.moment, work.rotated[r], work.values[r]};
    KvView view;
    if (row.frames != 1 || !row.cache->ring(turn, work.rings[r], view)) return false;
    work.attention[r] = work.row(r * per_frame, (r + 1) * per_frame, view);
  }
  const RingNorms norms{block.self.norm_q, block.self.norm_k, config_.eps};
  ops_.append_to_rings(work.q, work.k, work.v, norms, tokens.height, tokens.width, work.rings,
                       tokens.count);
  return true;
}

// The same for any kind of memory.
void DitBlocks::into_caches(const DitBlock& block, int64_t layer, Work& work) {
  const DitTokens& tokens = *work.tokens;
  const int64_t per_frame = tokens.height * tokens.width;
  ops_.rms_norm(work.q, block.self.norm_q, config_.eps, work.q);
  ops_.rms_norm(work.k, block.self.norm_k, config_.eps, work.k);
  const Shape split{tokens.frames, per_frame, config_.heads, config_.head_dim()};
  const Tensor q = work.q.reshape(split), k = work.k.reshape(split);
  ops_.rope3d(q, work.query_positions, tokens.height, tokens.width, q);
  ops_.rope3d(k, work.key_positions, tokens.height, tokens.width, k);
  int64_t token = 0;
  for (int64_t r = 0; r < tokens.count; ++r) {
    const DitRow& row = tokens.rows[r];
    const int64_t count = row.frames * per_frame;
    const KvTurn turn{ops_, static_cast<int>(layer), row.moment, work.rotated[r], work.values[r]};
    const KvView view = row.cache->append(turn, work.k.slice(token, token + count),
                                          work.v.slice(token, token + count));
    work.attention[r] = work.row(token, token + count, view);
    token += count;
  }
}

void DitBlocks::cross_attention(const DitBlock& block, int64_t layer, Work& work,
                                const DitTrace& trace) {
  const DitTokens& tokens = *work.tokens;
  ops_.layer_norm(tokens.x, block.norm3_weight, block.norm3_bias, {}, {}, config_.eps, work.normed);
  ops_.linear(*block.cross.q, work.normed, work.q);
  ops_.rms_norm(work.q, block.cross.norm_q, config_.eps, work.q);
  int64_t token = 0;
  for (int64_t r = 0; r < tokens.count; ++r) {
    const DitRow& row = tokens.rows[r];
    const int64_t count = row.frames * tokens.height * tokens.width;
    const KvLayers::Layer& prompt = (*row.prompt)[layer];
    const KvView view{prompt.k.data(), prompt.v.data(), static_cast<int>(config_.text_len),
                      prompt.k.dtype()};
    work.attention[r] = work.row(token, token + count, view);
    token += count;
  }
  attend(*block.cross.o, {}, work, "cross_attn", layer, trace);
}

void DitBlocks::feed_forward(const DitBlock& block, int64_t layer, Work& work,
                             const DitTrace& trace) {
  const Tensor& x = work.tokens->x;
  const int64_t d = config_.dim;
  ops_.layer_norm(x, {}, {}, work.vector(4, d), work.vector(3, d), config_.eps, work.normed);
  LinearEpilogue gelu;
  gelu.activation = Activation::gelu_tanh;
  ops_.linear(*block.ffn0, work.normed, work.hidden, gelu);
  if (trace) {
    ops_.linear(*block.ffn2, work.hidden, work.normed);
    show(trace, "ffn", layer, work.normed);
  }
  LinearEpilogue add;
  add.residual = x;
  add.gate = work.vector(5, d);
  ops_.linear(*block.ffn2, work.hidden, x, add);
}

}  // namespace driftless
