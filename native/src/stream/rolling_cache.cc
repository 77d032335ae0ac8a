#include "stream/rolling_cache.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "stream/sink_similarity.h"

namespace driftless {

namespace {

int temporal_pairs_of(const RollingConfig& config) {
  const int pairs = config.head_dim / 2;
  return pairs - 2 * (pairs / 3);
}

size_t ring_values(const RollingConfig& config) {
  return static_cast<size_t>(config.kv_frames) * static_cast<size_t>(config.tokens_per_frame) *
         static_cast<size_t>(config.heads) * static_cast<size_t>(config.head_dim);
}

size_t table_values(const RollingConfig& config) {
  return 2 * static_cast<size_t>(config.kv_frames) * static_cast<size_t>(temporal_pairs_of(config));
}

float* floats(Arena& arena, size_t count) {
  return static_cast<float*>(arena.allocate(count * sizeof(float)));
}

}  // namespace

RollingCache::RollingCache(const RollingConfig& config, Arena& arena)
    : config_(config), temporal_pairs_(temporal_pairs_of(config)) {
  if (config.kv_frames < 1 || config.sink_frames < 0 || config.sink_frames >= config.kv_frames) {
    throw Error("key/value ring: expected 0 <= sink frames < kv frames, got sink " +
                std::to_string(config.sink_frames) + ", kv " + std::to_string(config.kv_frames));
  }
  const size_t width = 2 * static_cast<size_t>(temporal_pairs_);
  cos_ = floats(arena, table_values(config));
  sin_ = floats(arena, table_values(config));
  for (int p = 0; p < config.kv_frames; ++p) {
    for (int j = 0; j < temporal_pairs_; ++j) {
      const double angle = p * std::pow(10000.0, -static_cast<double>(j) / temporal_pairs_);
      const size_t at = static_cast<size_t>(p) * width + 2 * static_cast<size_t>(j);
      cos_[at] = cos_[at + 1] = static_cast<float>(std::cos(angle));
      sin_[at] = static_cast<float>(-std::sin(angle));
      sin_[at + 1] = static_cast<float>(std::sin(angle));
    }
  }
  rotated_ = floats(arena, ring_values(config));
  layers_.resize(static_cast<size_t>(config.layers));
  for (Layer& layer : layers_) {
    layer.k = floats(arena, ring_values(config));
    layer.v = floats(arena, ring_values(config));
  }
}

RollingCache::RollingCache(const RollingConfig& config)
    : RollingCache(config, std::make_unique<Arena>(bytes(config))) {}

RollingCache::RollingCache(const RollingConfig& config, std::unique_ptr<Arena> memory)
    : RollingCache(config, *memory) {
  own_memory_ = std::move(memory);
}

size_t RollingCache::bytes(const RollingConfig& config) {
  const size_t rings = 1 + 2 * static_cast<size_t>(config.layers);
  return 2 * Arena::rounded(table_values(config) * sizeof(float)) +
         rings * Arena::rounded(ring_values(config) * sizeof(float));
}

void RollingCache::copy_from(const RollingCache& other) {
  DL_CHECK_EQ("key/value ring: layers", layers_.size(), other.layers_.size());
  DL_CHECK_EQ("key/value ring: values per layer", ring_values(config_), ring_values(other.config_));
  frames_ = other.frames_;
  rewriting_ = other.rewriting_;
  const size_t held = static_cast<size_t>(std::min<int64_t>(frames_, config_.kv_frames));
  for (size_t i = 0; i < layers_.size(); ++i) {
    std::copy_n(other.layers_[i].k, held * frame_values(), layers_[i].k);
    std::copy_n(other.layers_[i].v, held * frame_values(), layers_[i].v);
  }
}

size_t RollingCache::frame_values() const {
  return static_cast<size_t>(config_.tokens_per_frame) *
         static_cast<size_t>(config_.heads * config_.head_dim);
}

KvView RollingCache::stored(int layer, int slot) const {
  const Layer& from = layers_[static_cast<size_t>(layer)];
  const size_t at = static_cast<size_t>(slot) * frame_values();
  return KvView{from.k + at, from.v + at, config_.tokens_per_frame};
}

int RollingCache::slot() const {
  if (frames_ < config_.kv_frames) return static_cast<int>(frames_);
  const int64_t rolling = config_.kv_frames - config_.sink_frames;
  return config_.sink_frames + static_cast<int>((frames_ - config_.sink_frames) % rolling);
}

int RollingCache::valid_slots() const {
  return static_cast<int>(std::min<int64_t>(frames_ + 1, config_.kv_frames));
}

int RollingCache::position_of(int slot) const {
  if (frames_ < config_.kv_frames || slot < config_.sink_frames) return slot;
  const int rolling = config_.kv_frames - config_.sink_frames;
  const int age = (this->slot() - slot + rolling) % rolling;
  return config_.kv_frames - 1 - age;
}

void RollingCache::promote(Layer& layer, const float* k, const float* v) {
  const size_t dim = static_cast<size_t>(config_.heads * config_.head_dim);
  const size_t tokens = static_cast<size_t>(config_.tokens_per_frame);
  const size_t frame = tokens * dim;
  int lowest = -1;
  float lowest_similarity = config_.sink_threshold;
  for (int s = 0; s < config_.sink_frames; ++s) {
    const size_t at = static_cast<size_t>(s) * frame;
    const float a = sink_similarity(layer.k + at, layer.v + at, k, v, tokens, dim);
    if (a < lowest_similarity) {
      lowest_similarity = a;
      lowest = s;
    }
  }
  if (lowest < 0) return;
  const size_t from = static_cast<size_t>(slot()) * frame;
  const size_t to = static_cast<size_t>(lowest) * frame;
  std::copy_n(layer.k + from, frame, layer.k + to);
  std::copy_n(layer.v + from, frame, layer.v + to);
}

void RollingCache::renew_sink(int sink) {
  if (frames_ < config_.kv_frames) return;
  const size_t from = static_cast<size_t>(slot()) * frame_values();
  const size_t to = static_cast<size_t>(sink) * frame_values();
  for (Layer& layer : layers_) {
    std::copy_n(layer.k + from, frame_values(), layer.k + to);
    std::copy_n(layer.v + from, frame_values(), layer.v + to);
  }
}

void RollingCache::rotate(const Layer& layer) {
  const size_t head_dim = static_cast<size_t>(config_.head_dim);
  const size_t width = 2 * static_cast<size_t>(temporal_pairs_);
  const size_t heads_per_frame =
      static_cast<size_t>(config_.tokens_per_frame) * static_cast<size_t>(config_.heads);
  for (int s = 0; s < valid_slots(); ++s) {
    const size_t table = static_cast<size_t>(position_of(s)) * width;
    const float* c = cos_ + table;
    const float* d = sin_ + table;
    const size_t begin = static_cast<size_t>(s) * heads_per_frame * head_dim;
    const float* in = layer.k + begin;
    float* out = rotated_ + begin;
    for (size_t h = 0; h < heads_per_frame; ++h, in += head_dim, out += head_dim) {
      for (size_t i = 0; i < width; i += 2) {
        out[i] = in[i] * c[i] + in[i + 1] * d[i];
        out[i + 1] = in[i + 1] * c[i + 1] + in[i] * d[i + 1];
      }
      std::copy(in + width, in + head_dim, out + width);
    }
  }
}

KvView RollingCache::append(int index, const float* k, const float* v, int tokens) {
  if (tokens != config_.tokens_per_frame) {
    throw Error("key/value ring: expected a chunk of " + std::to_string(config_.tokens_per_frame) +
                " tokens, got " + std::to_string(tokens));
  }
  Layer& layer = layers_[static_cast<size_t>(index)];
  const bool refresh = frames_ >= config_.kv_frames && config_.sink_threshold > -1;
  if (refresh && !rewriting_) promote(layer, k, v);
  const size_t count = frame_values();
  const size_t at = static_cast<size_t>(slot()) * count;
  std::copy_n(k, count, layer.k + at);
  std::copy_n(v, count, layer.v + at);
  rotate(layer);
  return KvView{rotated_, layer.v, valid_slots() * tokens};
}

}  // namespace driftless
