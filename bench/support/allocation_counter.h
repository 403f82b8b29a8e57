// Counts the calls of malloc and similar functions in this program, so that benchmarks can report
// allocations per operation. Link it into benchmarks only, because it replaces malloc.
#ifndef TRESTLE_BENCH_SUPPORT_ALLOCATION_COUNTER_H_
#define TRESTLE_BENCH_SUPPORT_ALLOCATION_COUNTER_H_

#include <cstdint>

namespace trestle::bench {

/// Returns how many blocks all code in the program has requested from malloc, calloc, realloc and
/// operator new. Always 0 under sanitizers and without glibc, which have their own hooks.
uint64_t AllocationsSoFar();

/// Returns whether this build counts at all.
bool AllocationsAreCounted();

/// Returns the size of all blocks that are allocated now, as malloc rounds them, in bytes. Always 0
/// where `AllocationsSoFar` is.
int64_t BytesAllocatedNow();

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SUPPORT_ALLOCATION_COUNTER_H_
