#pragma once

#include <cstdint>

namespace driftless {

/// Whether allocations can be counted: not where a sanitizer has its own allocator.
bool counts_allocations();

/// Counts what the calling thread takes from the system's allocator while this object lives, the
/// C library's and every other library's calls included.
class AllocationCount {
 public:
  AllocationCount();
  ~AllocationCount();
  AllocationCount(const AllocationCount&) = delete;
  AllocationCount& operator=(const AllocationCount&) = delete;

  int64_t allocations() const;
};

}  // namespace driftless
