#include "stream/rolling_cache.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "stream/sink_similarity.h"

namespace driftless {

RollingCache::RollingCache(const RollingConfig& config) : config_(config) {
  if (config.kv_frames < 1 || config.sink_frames < 0 || config.sink_frames >= config.kv_frames) {
    throw Error("key/value ring: expected 0 <= sink frames < kv frames, got sink " +
                std::to_string(config.sink_frames) + ", kv " + std::to_string(config.kv_frames));
  }
  const int pairs = config.head_dim / 2;
  temporal_pairs_ = pairs - 2 * (pairs / 3);
  const size_t width = 2 * static_cast<size_t>(temporal_pairs_);
  cos_.resize(static_cast<size_t>(config.kv_frames) * width);
  sin_.resize(cos_.size());
  for (int p = 0; p < config.kv_frames; ++p) {
    for (int j = 0; j < temporal_pairs_; ++j) {
      const double angle = p * std::pow(10000.0, -static_cast<double>(j) / temporal_pairs_);
      const size_t at = static_cast<size_t>(p) * width + 2 * static_cast<size_t>(j);
      cos_[at] = cos_[at + 1] = static_cast<float>(std::cos(angle));
      sin_[at] = static_cast<float>(-std::sin(angle));
      sin_[at + 1] = static_cast<float>(std::sin(angle));
    }
  }
  const size_t size = static_cast<size_t>(config.kv_frames) *
                      static_cast<size_t>(config.tokens_per_frame) *
                      static_cast<size_t>(config.heads * config.head_dim);
  layers_.resize(static_cast<size_t>(config.layers));
  for (Layer& layer : layers_) {
    layer.k.assign(size, 0.0f);
    layer.v.assign(size, 0.0f);
  }
  rotated_.resize(size);
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
    const float a = sink_similarity(layer.k.data() + at, layer.v.data() + at, k, v, tokens, dim);
    if (a < lowest_similarity) {
      lowest_similarity = a;
      lowest = s;
    }
  }
  if (lowest < 0) return;
  const size_t from = static_cast<size_t>(slot()) * frame;
  const size_t to = static_cast<size_t>(lowest) * frame;
  std::copy_n(layer.k.data() + from, frame, layer.k.data() + to);
  std::copy_n(layer.v.data() + from, frame, layer.v.data() + to);
}

void RollingCache::rotate(const Layer& layer) {
  const size_t head_dim = static_cast<size_t>(config_.head_dim);
  const size_t width = 2 * static_cast<size_t>(temporal_pairs_);
  const size_t heads_per_frame =
      static_cast<size_t>(config_.tokens_per_frame) * static_cast<size_t>(config_.heads);
  for (int s = 0; s < valid_slots(); ++s) {
    const size_t table = static_cast<size_t>(position_of(s)) * width;
    const float* c = cos_.data() + table;
    const float* d = sin_.data() + table;
    const size_t begin = static_cast<size_t>(s) * heads_per_frame * head_dim;
    const float* in = layer.k.data() + begin;
    float* out = rotated_.data() + begin;
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
  if (frames_ >= config_.kv_frames && config_.sink_threshold > -1) promote(layer, k, v);
  const size_t count =
      static_cast<size_t>(tokens) * static_cast<size_t>(config_.heads * config_.head_dim);
  const size_t at = static_cast<size_t>(slot()) * count;
  std::copy_n(k, count, layer.k.data() + at);
  std::copy_n(v, count, layer.v.data() + at);
  rotate(layer);
  return KvView{rotated_.data(), layer.v.data(), valid_slots() * tokens};
}

}  // namespace driftless
