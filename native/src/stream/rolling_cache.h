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

#include "models/kv_cache.h"
#include "models/layer_places.h"
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
  DType dtype = DType::f32;  // f32, or the operations' token_dtype() or ring_dtype()
};

// One row of one session, all layers. Chunks of one latent frame.
class RollingCache : public KvCache {
 public:
  // With the layers where they are; or all beside `ops`. Either must outlive it. Throws Error when
  // the configuration has no rolling slot.
  RollingCache(const RollingConfig& config, LayerPlaces& places);
  RollingCache(const RollingConfig& config, Ops& ops);
  static size_t bytes(const RollingConfig& config);

  // Takes over what `other` remembers, which must have the same configuration: a row that joins
  // later starts from the memory of the row above it. Nothing of either may be under way.
  void copy_from(const RollingCache& other);

  KvMoment moment() const override { return {frames_, rewriting_, renewed_sink_}; }
  int query_position(const KvMoment& moment) const override;
  int key_position(const KvMoment&) const override { return 0; }
  Shape rotated_shape() const override;
  DType rotated_dtype() const override { return widens_values() ? DType::bf16 : config_.dtype; }
  bool widens_values() const override { return config_.dtype == DType::e4m3; }
  bool ring(const KvTurn& turn, RingRow& row, KvView& view) override;
  KvView append(const KvTurn& turn, const Tensor& k, const Tensor& v) override;

  // The next append() of each layer replaces the frame that was appended last, sinks untouched.
  void rewrite() {
    rewriting_ = true;
    renewed_sink_ = -1;
  }

  // Ends a chunk: the next append() belongs to a new frame.
  void finish() {
    ++frames_;
    rewriting_ = false;
    renewed_sink_ = -1;
  }

  // Forgets everything.
  void restart() {
    frames_ = 0;
    rewriting_ = false;
    renewed_sink_ = -1;
  }

  // Between chunks: the next one replaces a sink with the frame that it overwrites. Does nothing
  // while the ring is not full.
  void renew_sink(int sink) {
    if (frames_ >= config_.kv_frames) renewed_sink_ = sink;
  }

  const RollingConfig& config() const { return config_; }
  // Frames seen, and the slot that the current frame is written to.
  int64_t frames() const { return frames_; }
  int slot() const { return place().slot(frames_); }
  // Slots that hold a frame, the current one included.
  int valid_slots() const { return place().valid(frames_); }
  // Position of a slot relative to the ring, 0..kv_frames-1.
  int position_of(int slot) const { return place().position(frames_, slot); }
  // Keys, without their temporal rotation, and values of one frame.
  KvView stored(int layer, int slot) const;

 private:
  RingLayer layer(const KvTurn& turn) const;
  RingPlace place() const { return {config_.kv_frames, config_.sink_frames}; }
  bool sink_due(const KvMoment& moment) const;

  RollingConfig config_;
  std::unique_ptr<LayerPlaces> own_places_;
  std::unique_ptr<KvLayers> rings_;
  int64_t frames_ = 0;
  bool rewriting_ = false;
  int renewed_sink_ = -1;
};

}  // namespace driftless
