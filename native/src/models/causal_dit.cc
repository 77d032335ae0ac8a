#include "models/causal_dit.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "core/error.h"

namespace driftless {

// A forward under way over the ranks.
struct CausalDit::Begun {
  Arena memory;
  size_t bytes = 0;
  Tensor e, y;
  DitTokens tokens;  // their shape alone
};

CausalDit::~CausalDit() = default;

CausalDit::CausalDit(const DitConfig& config, WeightSource& weights, Ops& ops,
                     std::vector<std::unique_ptr<Ops>> ranks)
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
  places_ = std::make_unique<LayerPlaces>(ops, config.layers);
  if (ranks.empty()) {
    blocks_ = std::make_unique<DitBlocks>(config_, ops, 0);
    for (int64_t i = 0; i < config.layers; ++i) blocks_->take(weights);
  } else {
    ranks_ = std::make_unique<DitRanks>(config_, weights, std::move(ranks), ops, *places_);
  }
  head_modulation_ =
      take_parameter(weights, "head.modulation", {1, 2, d}, ops, parameters_).reshape({2, d});
  head_ = take_linear(weights, ops, "head.head", config.out_channels * p * p, d);
}

std::shared_ptr<const PromptKv> CausalDit::encode_prompt(const Tensor& text, const Trace& trace) {
  auto prompt = std::make_shared<const PromptKv>(*places_, config_);
  encode_prompt(text, *prompt, trace);
  rest();
  return prompt;
}

void CausalDit::encode_prompt(const Tensor& text, const PromptKv& prompt, const Trace& trace) {
  const ArenaScope scope(ops_.arena());
  const int64_t n = config_.text_len, d = config_.dim;
  DL_CHECK_EQ("text embeddings", (Shape{n, config_.text_dim}), text.shape());
  DL_CHECK_EQ("layers of the prompt's keys and values", config_.layers, prompt.count());
  const Tensor hidden = ops_.arena().tensor({n, d});
  const Tensor context = ops_.arena().tensor({n, d});
  LinearEpilogue gelu;
  gelu.activation = Activation::gelu_tanh;
  ops_.linear(*text0_, text, hidden, gelu);
  ops_.linear(*text2_, hidden, context);
  if (trace) trace("context", -1, context);
  if (ranks_ != nullptr) return ranks_->encode_prompt(context, prompt);
  blocks_->encode_prompt(context, prompt, 0, trace);
}

// Tokens in scratch memory; e [frames, dim].
DitTokens CausalDit::embed(const DitRow* rows, int64_t count, const Tensor& x, const Tensor& e,
                           const Trace& trace) {
  const int64_t d = config_.dim, p = config_.patch, patch_values = config_.in_channels * p * p;
  DitTokens tokens;
  tokens.rows = rows;
  tokens.count = count;
  tokens.frames = x.dim(0);
  tokens.height = x.dim(1) / p;
  tokens.width = x.dim(2) / p;
  tokens.x = ops_.arena().tensor({tokens.tokens(), d});
  tokens.e0 = ops_.arena().tensor({tokens.frames, 6 * d});

  const ArenaScope scope(ops_.arena()), list_scope(ops_.host_arena());
  const Tensor patches =
      ops_.arena().tensor({tokens.frames, tokens.height, tokens.width, patch_values});
  ops_.pixel_unshuffle(x, patches);
  ops_.linear(*patch_, patches.reshape({tokens.tokens(), patch_values}), tokens.x);
  if (trace) trace("patch_embedding", -1, tokens.x);

  auto* timesteps = static_cast<double*>(
      ops_.host_arena().allocate(static_cast<size_t>(tokens.frames) * sizeof(double)));
  int64_t frame = 0;
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t f = 0; f < rows[r].frames; ++f) timesteps[frame++] = rows[r].timesteps[f];
  }
  const Tensor sinusoid = ops_.arena().tensor({tokens.frames, config_.freq_dim});
  const Tensor hidden = ops_.arena().tensor({tokens.frames, d});
  ops_.timestep_embedding(timesteps, sinusoid);
  LinearEpilogue silu;
  silu.activation = Activation::silu;
  ops_.linear(*time0_, sinusoid, hidden, silu);
  ops_.linear(*time2_, hidden, e);
  ops_.activate(Activation::silu, e, hidden);
  ops_.linear(*time_projection_, hidden, tokens.e0);
  if (trace) {
    trace("sinusoid", -1, sinusoid);
    trace("e", -1, e);
    trace("e0", -1, tokens.e0);
  }
  return tokens;
}

void CausalDit::head(const DitTokens& tokens, const Tensor& e, const Tensor& y,
                     const Trace& trace) {
  const ArenaScope scope(ops_.arena());
  const int64_t d = config_.dim, out = config_.out_channels * config_.patch * config_.patch;
  const Tensor shift = ops_.arena().tensor({tokens.frames, d});
  const Tensor scale = ops_.arena().tensor({tokens.frames, d});
  ops_.affine_channels(e, {}, head_modulation_.at(0), shift);
  ops_.affine_channels(e, {}, head_modulation_.at(1), scale);
  const Tensor normed = ops_.arena().tensor(tokens.x.shape(), ops_.token_dtype());
  ops_.layer_norm(tokens.x, {}, {}, GroupVectors{scale.f32_address(), tokens.frames, d},
                  GroupVectors{shift.f32_address(), tokens.frames, d}, config_.eps, normed);
  const Tensor values = ops_.arena().tensor({tokens.tokens(), out});
  ops_.linear(*head_, normed, values);
  if (trace) trace("head", -1, values);
  ops_.unpatchify(values.reshape({tokens.frames, tokens.height, tokens.width, out}), y);
}

// The rows with the moments of their caches, in scratch memory of the host.
DitRow* CausalDit::noted(const DitRow* rows, int64_t count) {
  auto* copies =
      static_cast<DitRow*>(ops_.host_arena().allocate(static_cast<size_t>(count) * sizeof(DitRow)));
  std::uninitialized_copy_n(rows, count, copies);
  for (int64_t r = 0; r < count; ++r) copies[r].moment = rows[r].cache->moment();
  return copies;
}

void CausalDit::check_input(const DitRow* rows, int64_t count, const Tensor& x) const {
  const int64_t p = config_.patch;
  int64_t frames = 0;
  for (int64_t r = 0; r < count; ++r) frames += rows[r].frames;
  DL_CHECK(x.rank() == 4 && x.dim(0) == frames && x.dim(1) % p == 0 && x.dim(2) % p == 0 &&
               x.dim(3) == config_.in_channels,
           "dit input",
           "[" + std::to_string(frames) + ", multiple of " + std::to_string(p) + ", multiple of " +
               std::to_string(p) + ", " + std::to_string(config_.in_channels) + "]",
           x.shape());
}

void CausalDit::start(const DitRow* rows, int64_t count, const Tensor& x, const Tensor& y) {
  if (ranks_ == nullptr) return forward(rows, count, x, y);
  check_input(rows, count, x);
  const ArenaScope scope(ops_.arena()), list_scope(ops_.host_arena());
  std::unique_ptr<Begun> begun;
  if (spare_.empty()) {
    begun = std::make_unique<Begun>(Begun{Arena(64, 0, ops_.memory()), 0, {}, {}, {}});
  } else {
    begun = std::move(spare_.front());
    spare_.pop_front();
  }
  const int64_t frames = x.dim(0);
  const size_t bytes = Arena::rounded(static_cast<size_t>(frames * config_.dim) * sizeof(float));
  if (begun->bytes < bytes) begun->memory = Arena(bytes, 0, ops_.memory());
  begun->bytes = std::max(begun->bytes, bytes);
  begun->memory.reset();
  begun->e = begun->memory.tensor({frames, config_.dim});
  begun->y = y;
  begun->tokens = embed(noted(rows, count), count, x, begun->e, nullptr);
  make_room(begun->tokens);
  ranks_->start(begun->tokens);
  begun->tokens.rows = nullptr;
  begun_.push_back(std::move(begun));
}

// For finish(): where there is none, that must show while fewer rows can be tried.
void CausalDit::make_room(const DitTokens& tokens) {
  const ArenaScope scope(ops_.arena());
  const int64_t patch_values = config_.out_channels * config_.patch * config_.patch;
  ops_.arena().tensor(tokens.x.shape());
  ops_.arena().tensor(tokens.x.shape(), ops_.token_dtype());
  ops_.arena().tensor({tokens.tokens(), patch_values});
  ops_.arena().tensor({tokens.frames, 2 * config_.dim});
}

void CausalDit::finish() {
  if (ranks_ == nullptr) return;
  DL_CHECK(!begun_.empty(), "finish", "a forward that was begun", "none");
  spare_.push_back(std::move(begun_.front()));
  begun_.pop_front();
  const Begun& begun = *spare_.back();
  const ArenaScope scope(ops_.arena());
  DitTokens tokens = begun.tokens;
  tokens.x = ops_.arena().tensor(begun.tokens.x.shape());
  ranks_->finish(tokens.x);
  head(tokens, begun.e, begun.y, nullptr);
}

LibraryUse CausalDit::prepare(int64_t tokens, int64_t keys) {
  return ranks_ != nullptr ? ranks_->prepare(tokens, keys) : blocks_->prepare(tokens, keys);
}

void CausalDit::rest() {
  if (ranks_ != nullptr) ranks_->rest();
}

void CausalDit::forward(const DitRow* rows, int64_t count, const Tensor& x, const Tensor& y,
                        const Trace& trace) {
  if (ranks_ != nullptr) {
    DL_CHECK(!trace, "trace", "a transformer on one device", "one over ranks");
    start(rows, count, x, y);
    return finish();
  }
  check_input(rows, count, x);
  const int64_t threads = ops_.threads();
  if (trace) return forward_part(rows, count, x, y, trace);
  if (threads == 1 || count < threads) {
    const RepeatKey key{count, x.dim(0), x.dim(1), x.dim(2), reinterpret_cast<intptr_t>(y.data())};
    return ops_.repeated(key, [&](int64_t) { forward_part(rows, count, x, y, nullptr); });
  }
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
  const Tensor e = ops_.arena().tensor({x.dim(0), config_.dim});
  const DitTokens tokens = embed(noted(rows, count), count, x, e, trace);
  blocks_->run(tokens, 0, trace);
  head(tokens, e, y, trace);
}

}  // namespace driftless
