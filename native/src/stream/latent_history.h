#pragma once

// The latents that went into a session's rings, so that the rings can be made anew.

#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "ops/ops.h"

namespace driftless {

// Keeps the first frames of a stream, which rings hold as sinks, and the newest.
class LatentHistory {
 public:
  struct Entry {
    uint64_t index = 0;  // of the chunk
    float noise_scale = 0;
    double timestep = 0;
    Tensor clean;  // [values]
  };

  // first >= 0 frames and newest >= 1 frames of `values` floats each, in `arena`, which is of
  // `ops`' memory. `ops` must outlive it.
  LatentHistory(Arena& arena, Ops& ops, size_t values, size_t first, size_t newest);
  static size_t bytes(size_t values, size_t first, size_t newest);

  // Frames must come with growing index.
  void push(uint64_t index, float noise_scale, double timestep, const Tensor& clean);

  size_t size() const;
  // Oldest first.
  const Entry& operator[](size_t i) const;

 private:
  Ops& ops_;
  size_t first_;
  uint64_t pushed_ = 0;
  std::vector<Entry> entries_;  // the first ones, then a ring
};

}  // namespace driftless
