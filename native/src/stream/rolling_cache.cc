#include "stream/rolling_cache.h"

#include <algorithm>
#include <string>

#include "core/error.h"

namespace driftless {

namespace {

Shape ring_shape(const RollingConfig& config) {
  return {config.kv_frames, config.tokens_per_frame, config.heads, config.head_dim};
}

}  // namespace

RollingCache::RollingCache(const RollingConfig& config, Ops& ops, Arena& arena)
    : config_(config), ops_(ops) {
  if (config.kv_frames < 1 || config.sink_frames < 0 || config.sink_frames >= config.kv_frames) {
    throw Error("key/value ring: expected 0 <= sink frames < kv frames, got sink " +
                std::to_string(config.sink_frames) + ", kv " + std::to_string(config.kv_frames));
  }
  positions_.resize(static_cast<size_t>(config.kv_frames));
  rotated_ = arena.tensor(ring_shape(config), config.dtype);
  layers_.resize(static_cast<size_t>(config.layers));
  for (RingLayer& layer : layers_) {
    layer.k = arena.tensor(ring_shape(config), config.dtype);
    layer.v = arena.tensor(ring_shape(config), config.dtype);
    layer.sinks = config.sink_frames;
  }
}

RollingCache::RollingCache(const RollingConfig& config, Ops& ops)
    : RollingCache(config, ops, std::make_unique<Arena>(bytes(config), 0, ops.memory())) {}

RollingCache::RollingCache(const RollingConfig& config, Ops& ops, std::unique_ptr<Arena> memory)
    : RollingCache(config, ops, *memory) {
  own_memory_ = std::move(memory);
}

size_t RollingCache::bytes(const RollingConfig& config) {
  const size_t rings = 1 + 2 * static_cast<size_t>(config.layers);
  return rings *
         Arena::rounded(static_cast<size_t>(ring_shape(config).count()) * dtype_size(config.dtype));
}

void RollingCache::copy_from(const RollingCache& other) {
  DL_CHECK_EQ("key/value ring: layers", layers_.size(), other.layers_.size());
  DL_CHECK_EQ("key/value ring: shape", ring_shape(config_), ring_shape(other.config_));
  frames_ = other.frames_;
  rewriting_ = other.rewriting_;
  const int64_t held = std::min<int64_t>(frames_, config_.kv_frames);
  for (size_t i = 0; i < layers_.size(); ++i) {
    ops_.copy(other.layers_[i].k.slice(0, held), layers_[i].k.slice(0, held));
    ops_.copy(other.layers_[i].v.slice(0, held), layers_[i].v.slice(0, held));
  }
}

KvView RollingCache::stored(int layer, int slot) const {
  const RingLayer& from = layers_[static_cast<size_t>(layer)];
  return KvView{from.k.at(slot).data(), from.v.at(slot).data(), config_.tokens_per_frame,
                config_.dtype};
}

int RollingCache::slot() const { return place().slot(frames_); }
int RollingCache::valid_slots() const { return place().valid(frames_); }
int RollingCache::position_of(int slot) const { return place().position(frames_, slot); }

void RollingCache::renew_sink(int sink) {
  if (frames_ < config_.kv_frames) return;
  for (RingLayer& layer : layers_) {
    ops_.copy(layer.k.at(slot()), layer.k.at(sink));
    ops_.copy(layer.v.at(slot()), layer.v.at(sink));
  }
}

Tensor RollingCache::chunk(const float* values) const {
  const Shape shape{config_.tokens_per_frame, int64_t{config_.heads} * config_.head_dim};
  return Tensor(DType::f32, shape, const_cast<float*>(values), rotated_.memory());
}

// Whether the anchors are compared with the chunk before it is written.
bool RollingCache::sink_due() const {
  return frames_ >= config_.kv_frames && config_.sink_threshold > -1 && !rewriting_;
}

bool RollingCache::ring(int layer, RingRow& row, KvView& view) {
  if (sink_due()) return false;
  const RingLayer& own = layers_[static_cast<size_t>(layer)];
  row = RingRow{own, rotated_, frames_};
  view = KvView{rotated_.data(), own.v.data(), valid_slots() * config_.tokens_per_frame,
                config_.dtype};
  return true;
}

KvView RollingCache::append(int index, const float* k, const float* v, int tokens) {
  if (tokens != config_.tokens_per_frame) {
    throw Error("key/value ring: expected a chunk of " + std::to_string(config_.tokens_per_frame) +
                " tokens, got " + std::to_string(tokens));
  }
  const RingLayer& layer = layers_[static_cast<size_t>(index)];
  if (sink_due()) {
    ops_.refresh_sink(layer, chunk(k), chunk(v), slot(), config_.sink_threshold);
  }
  ops_.convert(chunk(k), layer.k.at(slot()));
  ops_.convert(chunk(v), layer.v.at(slot()));
  const int valid = valid_slots();
  for (int s = 0; s < valid; ++s) positions_[static_cast<size_t>(s)] = position_of(s);
  ops_.rope_time(layer.k.slice(0, valid), positions_.data(), rotated_.slice(0, valid));
  return KvView{rotated_.data(), layer.v.data(), valid * tokens, config_.dtype};
}

}  // namespace driftless
