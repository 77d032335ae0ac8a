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

RollingCache::RollingCache(const RollingConfig& config, LayerPlaces& places) : config_(config) {
  if (config.kv_frames < 1 || config.sink_frames < 0 || config.sink_frames >= config.kv_frames) {
    throw Error("key/value ring: expected 0 <= sink frames < kv frames, got sink " +
                std::to_string(config.sink_frames) + ", kv " + std::to_string(config.kv_frames));
  }
  DL_CHECK_EQ("key/value ring: layers", places.layers(), config.layers);
  rings_ = std::make_unique<KvLayers>(places, ring_shape(config), config.dtype);
}

RollingCache::RollingCache(const RollingConfig& config, Ops& ops) : config_(config) {
  own_places_ = std::make_unique<LayerPlaces>(ops, config.layers);
  rings_ = std::move(RollingCache(config, *own_places_).rings_);
}

size_t RollingCache::bytes(const RollingConfig& config) {
  return KvLayers::bytes(config.layers, ring_shape(config), config.dtype);
}

void RollingCache::copy_from(const RollingCache& other) {
  DL_CHECK_EQ("key/value ring: layers", rings_->count(), other.rings_->count());
  DL_CHECK_EQ("key/value ring: shape", ring_shape(config_), ring_shape(other.config_));
  frames_ = other.frames_;
  rewriting_ = other.rewriting_;
  renewed_sink_ = other.renewed_sink_;
  const int64_t held = std::min<int64_t>(frames_, config_.kv_frames);
  for (int64_t i = 0; i < rings_->count(); ++i) {
    Ops& ops = rings_->places().ops(i);
    ops.copy((*other.rings_)[i].k.slice(0, held), (*rings_)[i].k.slice(0, held));
    ops.copy((*other.rings_)[i].v.slice(0, held), (*rings_)[i].v.slice(0, held));
  }
}

KvView RollingCache::stored(int layer, int slot) const {
  const KvLayers::Layer& from = (*rings_)[layer];
  return KvView{from.k.at(slot).data(), from.v.at(slot).data(), config_.tokens_per_frame,
                config_.dtype};
}

int RollingCache::query_position(const KvMoment& moment) const {
  return place().position(moment.frames, place().slot(moment.frames));
}

Shape RollingCache::rotated_shape() const { return ring_shape(config_); }

// Whether the anchors are compared with the chunk before it is written.
bool RollingCache::sink_due(const KvMoment& moment) const {
  return moment.frames >= config_.kv_frames && config_.sink_threshold > -1 && !moment.rewriting;
}

// The layer's rings, with the anchor that the moment renews.
RingLayer RollingCache::layer(const KvTurn& turn) const {
  const KvLayers::Layer& rings = (*rings_)[turn.layer];
  const int leaving = place().slot(turn.moment.frames), renewed = turn.moment.renewed_sink;
  if (renewed >= 0) {
    turn.ops.copy(rings.k.at(leaving), rings.k.at(renewed));
    turn.ops.copy(rings.v.at(leaving), rings.v.at(renewed));
  }
  return {rings.k, rings.v, config_.sink_frames};
}

bool RollingCache::ring(const KvTurn& turn, RingRow& row, KvView& view) {
  const RingLayer own = layer(turn);
  const int64_t frames = turn.moment.frames;
  row = RingRow{own,        turn.rotated, frames, config_.sink_threshold, sink_due(turn.moment),
                turn.values};
  const Tensor& values = widens_values() ? turn.values : own.v;
  view = KvView{turn.rotated.data(), values.data(),
                place().valid(frames) * config_.tokens_per_frame, rotated_dtype()};
  return true;
}

KvView RollingCache::append(const KvTurn& turn, const Tensor& k, const Tensor& v) {
  const int64_t tokens = k.dim(0);
  if (tokens != config_.tokens_per_frame) {
    throw Error("key/value ring: expected a chunk of " + std::to_string(config_.tokens_per_frame) +
                " tokens, got " + std::to_string(tokens));
  }
  Ops& ops = turn.ops;
  const RingLayer own = layer(turn);
  const int64_t frames = turn.moment.frames;
  const int slot = place().slot(frames), valid = place().valid(frames);
  if (sink_due(turn.moment)) {
    ops.refresh_sink(own, k, v, slot, config_.sink_threshold);
  }
  ops.convert(k, own.k.at(slot));
  ops.convert(v, own.v.at(slot));
  const ArenaScope scope(ops.host_arena());
  auto* positions =
      static_cast<double*>(ops.host_arena().allocate(static_cast<size_t>(valid) * sizeof(double)));
  for (int s = 0; s < valid; ++s) positions[s] = place().position(frames, s);
  const Tensor rotated = turn.rotated.slice(0, valid);
  ops.rope_time(own.k.slice(0, valid), positions, rotated);
  return KvView{rotated.data(), own.v.data(), valid * config_.tokens_per_frame, config_.dtype};
}

}  // namespace driftless
