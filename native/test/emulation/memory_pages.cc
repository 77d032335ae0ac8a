#include "emulation/memory_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <unordered_map>

namespace driftless {
namespace emulation {

namespace {

struct Allocation {
  size_t bytes;
  bool managed;
};
std::unordered_map<void*, Allocation>& allocations() {
  static std::unordered_map<void*, Allocation> sizes;
  return sizes;
}

/// Whole pages of a range of addresses that is opened and closed at once.
class DeviceMemory {
 public:
  DeviceMemory() {
    void* range =
        mmap(nullptr, kRange, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) std::abort();
    base_ = static_cast<unsigned char*>(range);
  }

  void* allocate(size_t bytes) {
    const size_t size = pages(bytes);
    const auto fit = free_.find(size);
    size_t at = used_;
    if (fit != free_.end()) {
      at = fit->second;
      free_.erase(fit);
    } else if (used_ + size > kRange) {
      return nullptr;
    } else {
      used_ += size;
    }
    if (mprotect(base_ + at, size, PROT_READ | PROT_WRITE) != 0) return nullptr;
    // NaN, so that nobody counts on zeros.
    std::memset(base_ + at, 0xff, size);
    protect();
    return base_ + at;
  }
  void free(void* memory, size_t bytes) {
    const size_t at = static_cast<size_t>(static_cast<unsigned char*>(memory) - base_);
    madvise(memory, pages(bytes), MADV_DONTNEED);
    free_.emplace(pages(bytes), at);
  }
  void open() {
    if (open_++ == 0) protect();
  }
  void close() {
    if (--open_ == 0) protect();
  }

 private:
  static constexpr size_t kRange = size_t{1} << 36;
  static size_t pages(size_t bytes) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page + (bytes == 0 ? page : 0);
  }
  void protect() {
    if (used_ == 0) return;
    if (mprotect(base_, used_, open_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE) != 0) std::abort();
  }

  unsigned char* base_ = nullptr;
  size_t used_ = 0;
  int open_ = 0;
  std::multimap<size_t, size_t> free_;  // Places by size.
};

DeviceMemory& device_memory() {
  static DeviceMemory memory;
  return memory;
}

int refused = 0;

}  // namespace

std::recursive_mutex& turn() {
  static std::recursive_mutex mutex;
  return mutex;
}

cudaError_t allocate(void** memory, size_t bytes, bool managed) {
  const std::lock_guard<std::recursive_mutex> lock(turn());
  if (device_bytes() + bytes > machine().memory_bytes) {
    ++refused;
    return cudaErrorMemoryAllocation;
  }
  if (managed) {
    // Aligned as on a device, and NaN too.
    const size_t size = bytes == 0 ? 256 : (bytes + 255) / 256 * 256;
    *memory = std::aligned_alloc(256, size);
    if (*memory != nullptr) std::memset(*memory, 0xff, size);
  } else {
    *memory = device_memory().allocate(bytes);
  }
  if (*memory == nullptr) return cudaErrorMemoryAllocation;
  allocations()[*memory] = {bytes, managed};
  return cudaSuccess;
}

cudaError_t release(void* memory) {
  const std::lock_guard<std::recursive_mutex> lock(turn());
  const auto found = allocations().find(memory);
  if (found == allocations().end()) return cudaErrorInvalidValue;
  if (found->second.managed) {
    std::free(memory);
  } else {
    device_memory().free(memory, found->second.bytes);
  }
  allocations().erase(found);
  return cudaSuccess;
}

size_t device_bytes() {
  const std::lock_guard<std::recursive_mutex> lock(turn());
  size_t total = 0;
  for (const auto& [memory, allocation] : allocations()) total += allocation.bytes;
  return total;
}

int refusals() { return refused; }

DeviceAccess::DeviceAccess() {
  turn().lock();
  device_memory().open();
}
DeviceAccess::~DeviceAccess() {
  device_memory().close();
  turn().unlock();
}

}  // namespace emulation
}  // namespace driftless
