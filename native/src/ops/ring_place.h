#pragma once

// Where the frames of a stream lie in its key/value ring: slots 0..sinks-1 hold the first frames as
// anchors, the others roll. Shared by the host's code and by kernels.

#include <cstdint>

#include "ops/host_and_device.h"

namespace driftless {

struct RingPlace {
  int slots = 0, sinks = 0;  ///< sinks < slots.

  /// Of the frame that comes after so many.
  DL_HOST_AND_DEVICE int slot(int64_t frames) const {
    if (frames < slots) return static_cast<int>(frames);
    return sinks + static_cast<int>((frames - sinks) % (slots - sinks));
  }
  /// Slots that hold a frame, the coming one included.
  DL_HOST_AND_DEVICE int valid(int64_t frames) const {
    return frames + 1 < slots ? static_cast<int>(frames) + 1 : slots;
  }
  /// Temporal position of a slot relative to the ring, 0..slots-1: anchors first, then by age.
  DL_HOST_AND_DEVICE int position(int64_t frames, int of) const {
    if (frames < slots || of < sinks) return of;
    const int rolling = slots - sinks;
    return slots - 1 - (slot(frames) - of + rolling) % rolling;
  }
};

}  // namespace driftless
