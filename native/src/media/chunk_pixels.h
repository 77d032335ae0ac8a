#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/tensor.h"
#include "media/device_pool.h"
#include "models/picture_size.h"

namespace driftless {

/// The pixels of a chunk, frames x height x width x 3: in the host's memory or in a GPU's.
struct ChunkPixels {
  PictureSize size;                  // of each frame; unknown: the model's own
  std::vector<uint8_t> rgb;          // empty where they are on a GPU:
  std::shared_ptr<uint8_t> device;   //   there,
  std::shared_ptr<DevicePool> pool;  //   from here

  bool on_device() const { return device != nullptr; }
  Memory memory() const { return on_device() ? pool->kind() : Memory::host; }
  const uint8_t* data() const { return on_device() ? device.get() : rgb.data(); }
  uint8_t* data() { return on_device() ? device.get() : rgb.data(); }

  /// Room for as many in the same memory.
  ChunkPixels like() const {
    ChunkPixels other;
    other.size = size;
    if (on_device()) {
      other.pool = pool;
      other.device = pool->take();
    } else {
      other.rgb.resize(rgb.size());
    }
    return other;
  }
};

}  // namespace driftless
