// SPDX-License-Identifier: Apache-2.0
// Where the fields lie that are read of Go's runtime. Its variables have no type descriptors, so
// these offsets (64-bit) are a table by version, made from the DWARF of one program of each by
// tests/go/layout; what it says is checked against each binary's code (go_variables) and
// against sums of the runtime's own in each process (go_memory).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "agent/elf/go_build.hpp"

namespace sonde::runtime {

inline constexpr std::uint32_t kNoField = 0xffff'ffff;

// runtime.gcControllerState; Go 1.18 has only the percentage, the goal and what was marked.
struct ControllerLayout {
  std::uint32_t gc_percent;  // int32; all others are 64 bits wide
  std::uint32_t memory_limit;
  std::uint32_t heap_goal;  // by GC percent; in Go 1.18 all of it
  std::uint32_t sweep_trigger;
  std::uint32_t triggered;
  std::uint32_t heap_marked;
  std::uint32_t heap_in_use;
  std::uint32_t heap_released;
  std::uint32_t heap_free;
  std::uint32_t total_alloc;
  std::uint32_t total_free;
  std::uint32_t mapped_ready;

  std::uint32_t size() const { return (has_sums() ? mapped_ready : heap_marked) + 8; }
  bool has_sums() const { return mapped_ready != kNoField; }
};

// runtime.heapStatsDelta, of which runtime.consistentHeapStats holds three, then their generation.
struct HeapStatsLayout {
  static constexpr std::size_t kClasses = 68;

  std::uint32_t in_work_buffers;  // after committed, released, in heap, in stacks, 8 bytes each
  std::uint32_t in_pointer_bits;
  std::uint32_t tiny_allocs;
  std::uint32_t large_allocs;
  std::uint32_t small_allocs;  // by class
  std::uint32_t large_frees;
  std::uint32_t small_frees;  // by class, to the end

  std::uint32_t size() const { return small_frees + 8 * kClasses; }
  std::uint32_t generation() const { return 3 * size(); }  // uint32
};

// runtime.mstats
struct MemstatsLayout {
  static constexpr std::uint32_t kPauses = 256;

  std::uint32_t heap_stats;  // runtime.consistentHeapStats
  std::uint32_t stacks_sys;  // from here to `pauses` in ascending order, 64 bits wide
  std::uint32_t mspan_sys;
  std::uint32_t mcache_sys;
  std::uint32_t buck_hash_sys;
  std::uint32_t gc_misc_sys;
  std::uint32_t other_sys;
  std::uint32_t last_gc;
  std::uint32_t pause_total;
  std::uint32_t pauses;     // the last kPauses of them
  std::uint32_t num_gc;     // uint32
  std::uint32_t enabled;    // bool: the runtime has started
  std::uint32_t gc_pauses;  // timeHistogram

  std::uint32_t size() const { return pauses + 8 * kPauses - stacks_sys; }
};

// runtime.schedt
struct SchedulerLayout {
  std::uint32_t threads_made;   // mnext, int64
  std::uint32_t threads_freed;  // nmfreed, int64
  std::uint32_t system;         // ngsys, int32
  std::uint32_t free[2];        // of dead goroutines, with and without a stack; int32
  std::uint32_t latencies;      // timeToRun
  std::uint32_t stopping_gc;    // stwStoppingTimeGC and so on
  std::uint32_t stopping_other;
  std::uint32_t total_gc;
  std::uint32_t total_other;
};

// runtime.mheap
struct HeapLayout {
  std::uint32_t spans_in_use;   // spanalloc.inuse, uintptr
  std::uint32_t caches_in_use;  // cachealloc.inuse
};

// runtime.p, whose id (int32) comes first.
struct ProcessorLayout {
  std::uint32_t free;  // of dead goroutines, int32
};

// runtime.timeHistogram: counts, then what lies below the first bound, then (from Go 1.20) above
// the last.
struct HistogramLayout {
  unsigned sub_bits;  // a power of two is divided into 1 << sub_bits
  unsigned min_bits;  // below 1 << (min_bits - 1) ns buckets are of one size
  std::uint32_t counts;
  bool overflow;

  std::size_t words() const { return counts + 1U + (overflow ? 1U : 0U); }
  // The lower bound of a bucket in ns; that of `counts` is the last one's upper.
  constexpr std::uint64_t bound(std::uint32_t bucket) const
  {
    const std::uint64_t power = bucket >> sub_bits;
    const std::uint64_t sub = bucket & ((1U << sub_bits) - 1U);
    if (power == 0)
      return sub << (min_bits - 1U - sub_bits);
    const auto shift = min_bits - 2U + power;
    return (std::uint64_t{1} << shift) + (sub << (shift - sub_bits));
  }
};

struct GoLayout {
  unsigned minor;  // the first version of Go 1 that has it
  ControllerLayout controller;
  HeapStatsLayout heap_stats;
  MemstatsLayout memstats;
  SchedulerLayout scheduler;
  HeapLayout heap;
  ProcessorLayout processor;
  HistogramLayout histogram;
};

inline constexpr unsigned kOldestGo = 18;

// Nothing for versions before kOldestGo; for one that is newer than the table, its last row.
const GoLayout* layout_of(const elf::GoVersion& version);

}  // namespace sonde::runtime
