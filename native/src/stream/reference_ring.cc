#include "stream/reference_ring.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "ops/sink_similarity.h"

namespace driftless {

void ReferenceRing::refresh_sink(int sink) {
  evict_.push_front((sink + 1) * config_.tokens_per_frame);
}

ReferenceRing::Write ReferenceRing::advance(int start, int tokens) {
  const int end = start + tokens;
  const int sink_end = config_.sink_frames * config_.tokens_per_frame;
  const int capacity = config_.kv_frames * config_.tokens_per_frame;
  Write write;
  if (end <= capacity && local_end_ < capacity) {
    local_end_ += end - global_end_;
    write.offset = local_end_ - tokens;
    // The rule looks one chunk ahead; with a first chunk of two frames slot 2 is never queued.
    const int next = end + tokens;
    if (next > sink_end && next <= capacity && (evict_.empty() || evict_.back() != next)) {
      evict_.push_back(next);
    }
  } else {
    if (evict_.empty()) {
      throw Error("key/value ring: expected a slot to overwrite, got an empty queue (kv " +
                  std::to_string(config_.kv_frames) + ", sink " +
                  std::to_string(config_.sink_frames) + ")");
    }
    const int target = evict_.front();
    write.offset = target - tokens;
    bool pop = true;
    if (config_.sub_steps > 1) {
      pop = --countdown_ == 0;
      if (pop) countdown_ = config_.sub_steps;
    }
    if (pop) {
      evict_.pop_front();
      if (target > sink_end) evict_.push_back(target);
    }
    local_end_ = capacity;
  }
  global_end_ = end;
  write.valid = local_end_;
  return write;
}

ReferenceCache::ReferenceCache(const RingConfig& config, int layers, int dim)
    : config_(config), dim_(dim) {
  const size_t size = static_cast<size_t>(config.kv_frames) *
                      static_cast<size_t>(config.tokens_per_frame) * static_cast<size_t>(dim);
  for (int i = 0; i < layers; ++i) {
    layers_.push_back(Layer{ReferenceRing(config),
                            std::vector<float>(size, 0.0f),
                            std::vector<float>(size, 0.0f),
                            0,
                            {}});
  }
}

void ReferenceCache::restart() {
  for (Layer& layer : layers_) {
    layer.ring.restart();
    std::fill(layer.k.begin(), layer.k.end(), 0.0f);
    std::fill(layer.v.begin(), layer.v.end(), 0.0f);
  }
}

void ReferenceCache::refresh_sinks(Layer& layer, const float* k, const float* v) {
  const size_t tokens = static_cast<size_t>(config_.tokens_per_frame);
  const size_t dim = static_cast<size_t>(dim_);
  layer.similarity.resize(static_cast<size_t>(config_.sink_frames));
  int lowest = 0;
  for (int s = 0; s < config_.sink_frames; ++s) {
    const size_t at = static_cast<size_t>(s) * tokens * dim;
    const float a = sink_similarity(layer.k.data() + at, layer.v.data() + at, k, v, tokens, dim);
    layer.similarity[static_cast<size_t>(s)] = a;
    if (a < layer.similarity[static_cast<size_t>(lowest)]) lowest = s;
  }
  if (layer.similarity[static_cast<size_t>(lowest)] < config_.sink_threshold) {
    layer.ring.refresh_sink(lowest);
  }
}

KvView ReferenceCache::append(const KvTurn& turn, const Tensor& k, const Tensor& v) {
  const int tokens = static_cast<int>(k.dim(0));
  Layer& layer = layers_[static_cast<size_t>(turn.layer)];
  layer.similarity.clear();
  if (config_.sink_threshold > -1 && config_.sink_frames > 0 &&
      tokens == config_.tokens_per_frame) {
    refresh_sinks(layer, k.f32(), v.f32());
  }
  const ReferenceRing::Write write = layer.ring.advance(start_, tokens);
  const size_t capacity = layer.k.size() / static_cast<size_t>(dim_);
  if (write.offset < 0 || static_cast<size_t>(write.offset + tokens) > capacity) {
    throw Error("key/value ring: expected a write inside 0 to " + std::to_string(capacity) +
                " tokens, got " + std::to_string(write.offset) + " + " + std::to_string(tokens));
  }
  const size_t at = static_cast<size_t>(write.offset) * static_cast<size_t>(dim_);
  const size_t count = static_cast<size_t>(tokens) * static_cast<size_t>(dim_);
  std::copy_n(k.f32(), count, layer.k.data() + at);
  std::copy_n(v.f32(), count, layer.v.data() + at);
  layer.slot_written = write.offset / config_.tokens_per_frame;
  return KvView{layer.k.data(), layer.v.data(), write.valid};
}

}  // namespace driftless
