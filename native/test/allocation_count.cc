// The program's own malloc family in front of glibc's: every allocation of the process passes here,
// operator new included. They count only for a thread that asks for it.

#include "allocation_count.h"

#include <cerrno>
#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define DRIFTLESS_OWN_ALLOCATOR
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define DRIFTLESS_OWN_ALLOCATOR
#endif

namespace {

thread_local bool counting = false;
thread_local int64_t counted = 0;

[[maybe_unused]] void count_one() {
  if (counting) ++counted;
}

}  // namespace

#if !defined(DRIFTLESS_OWN_ALLOCATOR)

extern "C" {

void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) {
  count_one();
  return __libc_malloc(bytes);
}

void* calloc(size_t count, size_t bytes) {
  count_one();
  return __libc_calloc(count, bytes);
}

void* realloc(void* memory, size_t bytes) {
  count_one();
  return __libc_realloc(memory, bytes);
}

void* memalign(size_t alignment, size_t bytes) {
  count_one();
  return __libc_memalign(alignment, bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  *memory = memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}

}  // extern "C"

#endif

namespace driftless {

#if defined(DRIFTLESS_OWN_ALLOCATOR)
bool counts_allocations() { return false; }
#else
bool counts_allocations() { return true; }
#endif

AllocationCount::AllocationCount() {
  counted = 0;
  counting = true;
}
AllocationCount::~AllocationCount() { counting = false; }
int64_t AllocationCount::allocations() const { return counted; }

}  // namespace driftless
