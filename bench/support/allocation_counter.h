// Counts calls of malloc and its kin in this program, so that benchmarks can tell allocations per
// operation. Link it into benchmarks only: it replaces malloc.
#ifndef TRESTLE_BENCH_SUPPORT_ALLOCATION_COUNTER_H_
#define TRESTLE_BENCH_SUPPORT_ALLOCATION_COUNTER_H_

#include <cstdint>

namespace trestle::bench {

/// Counts the blocks that were asked of malloc, calloc, realloc and operator new so far, by all
/// code in the program. Stays 0 under sanitizers and without glibc, which have hooks of their own.
uint64_t AllocationsSoFar();

/// Tells whether this build counts at all.
bool AllocationsAreCounted();

/// Counts the bytes of the blocks that are allocated now, as malloc hands them out, by all code in
/// the program. Stays 0 where `AllocationsSoFar` does.
int64_t BytesAllocatedNow();

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SUPPORT_ALLOCATION_COUNTER_H_
