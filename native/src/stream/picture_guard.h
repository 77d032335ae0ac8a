#pragma once

// The drift guard on what viewers see: mean and contrast of red, green and blue against the
// camera's. It stands behind the autoencoder and the strength, and so also sees what the guard on
// latents cannot: a decoder whose memory wanders.

#include <array>
#include <cstdint>

#include "ops/ops.h"
#include "stream/drift_guard.h"

namespace driftless {

class PictureGuard {
 public:
  // ops must outlive it. chunk_s: length of a chunk.
  PictureGuard(Ops& ops, double chunk_s);

  // What pictures [frames, height, width, 3] look like, for apply().
  void look(const Tensor& pictures, ChannelFeatures& features) const;

  // Looks at the pictures that came out beside what those that went in looked like, and corrects
  // them in place. No allocation. Returns whether it changed anything.
  bool apply(const ChannelFeatures& camera, const Tensor& pictures);

  // See DriftGuard; changes of strength are another look here.
  void restart() { guard_.restart(); }
  const GuardCounters& counters() const { return guard_.counters(); }

 private:
  Ops& ops_;
  DriftGuard guard_;
  ChannelFeatures pictures_;
  std::array<uint8_t, 3 * 256> tables_;  // of corrected values, by channel
};

}  // namespace driftless
