#include "bench/support/allocation_counter.h"

#include <cstddef>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TRESTLE_MALLOC_IS_TAKEN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TRESTLE_MALLOC_IS_TAKEN 1
#endif
#endif

namespace {

// Benchmarks run on one thread; a lost count of another thread does no harm.
uint64_t allocations = 0;

}  // namespace

#if defined(__GLIBC__) && !defined(TRESTLE_MALLOC_IS_TAKEN)
extern "C" {

void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* block, size_t bytes);

void* malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}

void* calloc(size_t count, size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}

void* realloc(void* block, size_t bytes) {
  ++allocations;
  return __libc_realloc(block, bytes);
}

}  // extern "C"
#endif

namespace trestle::bench {

uint64_t AllocationsSoFar() { return allocations; }

}  // namespace trestle::bench
