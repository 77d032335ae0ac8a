#pragma once

// Bookkeeping of the key/value ring exactly as the public implementation does it, its quirks
// included: it exists to prove the arithmetic against recorded traces. Sessions run on
// RollingCache.

#include <cstddef>
#include <deque>
#include <vector>

#include "models/kv_cache.h"

namespace driftless {

struct RingConfig {
  int tokens_per_frame = 0;
  int kv_frames = 0;          // capacity
  int sink_frames = 0;        // slots that only a sink refresh may overwrite
  float sink_threshold = -1;  // similarity under which a sink is refreshed; -1 turns it off
  // Sequential mode (one cache row, several forwards per chunk): forwards per chunk. 1 otherwise.
  int sub_steps = 1;
};

// One row of one layer, in tokens.
class ReferenceRing {
 public:
  explicit ReferenceRing(const RingConfig& config)
      : config_(config), countdown_(config.sub_steps) {}

  struct Write {
    int offset = 0;  // where the chunk goes
    int valid = 0;   // attention runs over [0, valid)
  };

  // Puts a sink at the head of the evict queue, so that the next overwrite lands in it. The public
  // code does not look whether it is queued already, and that shows in the recordings.
  void refresh_sink(int sink);

  // Takes a chunk of `tokens` tokens that starts at absolute token `start`. Throws Error when the
  // ring is full and its queue empty (a configuration that the public code crashes on).
  Write advance(int start, int tokens);

  // What a new session of the public implementation does to the ring of the one before: lengths go
  // back to 0, the evict queue stays as it was.
  void restart() { global_end_ = local_end_ = 0; }

  const std::deque<int>& evict() const { return evict_; }
  int global_end() const { return global_end_; }
  int local_end() const { return local_end_; }
  int countdown() const { return countdown_; }

 private:
  RingConfig config_;
  std::deque<int> evict_;  // slot ends, in tokens
  int global_end_ = 0;
  int local_end_ = 0;
  int countdown_;
};

// Keys and values of one row, all layers, on reference rings. Copyable: after prepare() a session's
// one row is copied to all rows.
class ReferenceCache : public KvCache {
 public:
  ReferenceCache(const RingConfig& config, int layers, int dim);

  // Says where the coming forward's chunk starts, in tokens.
  void begin(int start_tokens) { start_ = start_tokens; }

  int query_position(const KvMoment&) const override { return start_ / config_.tokens_per_frame; }
  int key_position(const KvMoment& moment) const override { return query_position(moment); }
  KvView append(const KvTurn& turn, const Tensor& k, const Tensor& v) override;

  // Empties the slots for a new session and keeps the evict queues (see ReferenceRing::restart).
  void restart();

  // What the last forward did in a layer, for comparison with recordings.
  struct Layer {
    ReferenceRing ring;
    std::vector<float> k, v;        // [kv_frames * tokens_per_frame, dim]
    int slot_written = 0;           // in frames
    std::vector<float> similarity;  // of each sink before the write; empty when not measured
  };
  const Layer& layer(int index) const { return layers_[static_cast<size_t>(index)]; }

 private:
  void refresh_sinks(Layer& layer, const float* k, const float* v);

  RingConfig config_;
  int dim_;
  int start_ = 0;
  std::vector<Layer> layers_;
};

}  // namespace driftless
