#include "media/device_pool.h"

namespace driftless {

std::shared_ptr<DevicePool> DevicePool::make(const MemorySource& source, size_t bytes) {
  return std::shared_ptr<DevicePool>(new DevicePool(source, bytes));
}

DevicePool::~DevicePool() {
  for (void* piece : free_) source_.free(piece);
}

std::shared_ptr<uint8_t> DevicePool::take() {
  void* piece = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!free_.empty()) {
      piece = free_.back();
      free_.pop_back();
    }
  }
  if (piece == nullptr) piece = source_.allocate(bytes_);
  return {static_cast<uint8_t*>(piece), [pool = shared_from_this()](uint8_t* used) {
            std::lock_guard<std::mutex> lock(pool->mutex_);
            pool->free_.push_back(used);
          }};
}

}  // namespace driftless
