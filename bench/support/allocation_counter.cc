#include "bench/support/allocation_counter.h"

#include <malloc.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TRESTLE_MALLOC_IS_TAKEN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TRESTLE_MALLOC_IS_TAKEN 1
#endif
#endif

#if defined(__GLIBC__) && !defined(TRESTLE_MALLOC_IS_TAKEN)
#define TRESTLE_COUNTS_ALLOCATIONS 1
#endif

namespace {

// Benchmarks run on one thread; a lost count of another thread is harmless.
uint64_t allocations = 0;
int64_t live_bytes = 0;

}  // namespace

#ifdef TRESTLE_COUNTS_ALLOCATIONS
namespace {

int64_t SizeOf(void* block) { return static_cast<int64_t>(malloc_usable_size(block)); }

void* Counted(void* block) {
  ++allocations;
  live_bytes += SizeOf(block);
  return block;
}

}  // namespace

extern "C" {

void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* block, size_t bytes);

void* __libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void* block);

void* malloc(size_t bytes) { return Counted(__libc_malloc(bytes)); }

void* calloc(size_t count, size_t bytes) { return Counted(__libc_calloc(count, bytes)); }

void* realloc(void* block, size_t bytes) {
  live_bytes -= SizeOf(block);
  return Counted(__libc_realloc(block, bytes));
}

void* memalign(size_t alignment, size_t bytes) {
  return Counted(__libc_memalign(alignment, bytes));
}

void* aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void** block, size_t alignment, size_t bytes) {
  *block = memalign(alignment, bytes);
  return *block == nullptr ? ENOMEM : 0;
}

void free(void* block) {
  live_bytes -= SizeOf(block);
  __libc_free(block);
}

}  // extern "C"
#endif

namespace trestle::bench {

uint64_t AllocationsSoFar() { return allocations; }

bool AllocationsAreCounted() {
#ifdef TRESTLE_COUNTS_ALLOCATIONS
  return true;
#else
  return false;
#endif
}

int64_t BytesAllocatedNow() { return live_bytes; }

}  // namespace trestle::bench
