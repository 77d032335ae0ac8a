#pragma once

// The drift guard on what viewers see: mean and contrast of red, green and blue against the
// camera's. It stands behind the autoencoder and the strength, and so also sees what the guard on
// latents cannot: a decoder whose memory wanders.

#include <array>
#include <cstddef>
#include <cstdint>

#include "stream/drift_guard.h"

namespace driftless {

class PictureGuard {
 public:
  // chunk_s: length of a chunk.
  explicit PictureGuard(double chunk_s);

  // Looks at the pictures that came out beside those that went in, `pixels` of RGB each, and
  // corrects them in place. No allocation. Returns whether it changed anything.
  bool apply(const uint8_t* camera, uint8_t* pictures, size_t pixels);

  // See DriftGuard; changes of strength are another look here.
  void restart() { guard_.restart(); }
  const GuardCounters& counters() const { return guard_.counters(); }

 private:
  DriftGuard guard_;
  ChannelFeatures camera_, pictures_;
  std::array<std::array<uint8_t, 256>, 3> table_;  // of corrected values
};

}  // namespace driftless
