#pragma once

// The key/value memory of live sessions. Slots 0..sinks-1 hold the first frames of the stream as
// anchors; the others roll. Against the public implementation:
// - keys are stored without their temporal rotation and rotated when read, at positions relative to
//   the ring (sinks 0, 1, ..., then the rolling frames by age, the newest last), so a stream has no
//   longest length and never jumps in position;
// - a sink is refreshed only once the ring is full, so an empty slot is never taken for a bad sink,
//   and it is refreshed with the frame that would be lost, so the rolling window keeps its length.

#include <cstdint>
#include <memory>
#include <vector>

#include "core/arena.h"
#include "models/kv_cache.h"
#include "ops/ops.h"
#include "ops/ring_place.h"

namespace driftless {

struct RollingConfig {
  int tokens_per_frame = 0;
  int kv_frames = 0;
  int sink_frames = 0;        // less than kv_frames
  float sink_threshold = -1;  // similarity under which a sink is refreshed; -1 turns it off
  int layers = 0;
  int heads = 0;
  int head_dim = 0;
  DType dtype = DType::f32;  // f32 or the operations' kv_dtype()
};

// One row of one session, all layers. Chunks of one latent frame.
class RollingCache : public KvCache {
 public:
  // In `arena`, where it takes bytes() of `ops`' memory; or with memory of its own. `ops` must
  // outlive it. Throws Error when the configuration has no rolling slot.
  RollingCache(const RollingConfig& config, Ops& ops, Arena& arena);
  RollingCache(const RollingConfig& config, Ops& ops);
  static size_t bytes(const RollingConfig& config);

  // Takes over what `other` remembers, which must have the same configuration: a row that joins
  // later starts from the memory of the row above it.
  void copy_from(const RollingCache& other);

  int query_position() const override { return position_of(slot()); }
  int key_position() const override { return 0; }
  bool ring(int layer, RingRow& row, KvView& view) override;
  KvView append(int layer, const float* k, const float* v, int tokens) override;

  // The next append() of each layer replaces the frame that was appended last, sinks untouched.
  void rewrite() { rewriting_ = true; }

  // Ends a chunk: the next append() belongs to a new frame.
  void finish() {
    ++frames_;
    rewriting_ = false;
  }

  // Forgets everything.
  void restart() {
    frames_ = 0;
    rewriting_ = false;
  }

  // Between chunks: replaces a sink with the frame that the next chunk overwrites. Does nothing
  // while the ring is not full.
  void renew_sink(int sink);

  const RollingConfig& config() const { return config_; }
  // Frames seen, and the slot that the current frame is written to.
  int64_t frames() const { return frames_; }
  int slot() const;
  // Slots that hold a frame, the current one included.
  int valid_slots() const;
  // Position of a slot relative to the ring, 0..kv_frames-1.
  int position_of(int slot) const;
  // Keys, without their temporal rotation, and values of one frame.
  KvView stored(int layer, int slot) const;

 private:
  RollingCache(const RollingConfig& config, Ops& ops, std::unique_ptr<Arena> memory);
  Tensor chunk(const float* values) const;
  RingPlace place() const { return {config_.kv_frames, config_.sink_frames}; }
  bool sink_due() const;

  RollingConfig config_;
  Ops& ops_;
  std::unique_ptr<Arena> own_memory_;
  int64_t frames_ = 0;
  bool rewriting_ = false;
  std::vector<double> positions_;  // of the slots, for the layer read last
  Tensor rotated_;                 // its keys
  std::vector<RingLayer> layers_;
};

}  // namespace driftless
