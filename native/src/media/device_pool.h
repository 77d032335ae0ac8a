#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/arena.h"

namespace driftless {

/// Pieces of a GPU's memory of one size, which are used again when they come back: to ask the
/// driver for memory makes the whole device wait. Thread-safe.
class DevicePool : public std::enable_shared_from_this<DevicePool> {
 public:
  /// source outlives it.
  static std::shared_ptr<DevicePool> make(const MemorySource& source, size_t bytes);
  ~DevicePool();
  DevicePool(const DevicePool&) = delete;
  DevicePool& operator=(const DevicePool&) = delete;

  size_t bytes() const { return bytes_; }
  Memory kind() const { return source_.kind(); }
  /// Throws driftless::Error when the device has no more.
  std::shared_ptr<uint8_t> take();

 private:
  DevicePool(const MemorySource& source, size_t bytes) : source_(source), bytes_(bytes) {}

  const MemorySource& source_;
  const size_t bytes_;
  std::mutex mutex_;
  std::vector<void*> free_;
};

}  // namespace driftless
