// SPDX-License-Identifier: Apache-2.0
// client_golang's metrics of Go's runtime: names, types and HELP.
#pragma once

#include "agent/metrics/desc.hpp"

namespace sonde::go_runtime {

using metrics::Type;

// First those with one value, in the order of kValues; Sonde's own last.
inline constexpr metrics::Desc kMetrics[] = {
    {"go_goroutines", Type::kGauge, "Number of goroutines that currently exist.", "service pid"},
    {"go_threads", Type::kGauge, "Number of OS threads created.", "service pid"},
    {"go_memstats_last_gc_time_seconds",
     Type::kGauge,
     "Number of seconds since 1970 of last garbage collection.",
     "service pid"},
    {"go_memstats_alloc_bytes",
     Type::kGauge,
     "Number of bytes allocated in heap and currently in use. Equals to "
     "/memory/classes/heap/objects:bytes.",
     "service pid"},
    {"go_memstats_alloc_bytes_total",
     Type::kCounter,
     "Total number of bytes allocated in heap until now, even if released already. Equals to "
     "/gc/heap/allocs:bytes.",
     "service pid"},
    {"go_memstats_sys_bytes",
     Type::kGauge,
     "Number of bytes obtained from system. Equals to /memory/classes/total:byte.",
     "service pid"},
    {"go_memstats_mallocs_total",
     Type::kCounter,
     "Total number of heap objects allocated, both live and gc-ed. Semantically a counter version "
     "for go_memstats_heap_objects gauge. Equals to /gc/heap/allocs:objects + "
     "/gc/heap/tiny/allocs:objects.",
     "service pid"},
    {"go_memstats_frees_total",
     Type::kCounter,
     "Total number of heap objects frees. Equals to /gc/heap/frees:objects + "
     "/gc/heap/tiny/allocs:objects.",
     "service pid"},
    {"go_memstats_heap_alloc_bytes",
     Type::kGauge,
     "Number of heap bytes allocated and currently in use, same as go_memstats_alloc_bytes. Equals "
     "to /memory/classes/heap/objects:bytes.",
     "service pid"},
    {"go_memstats_heap_sys_bytes",
     Type::kGauge,
     "Number of heap bytes obtained from system. Equals to /memory/classes/heap/objects:bytes + "
     "/memory/classes/heap/unused:bytes + /memory/classes/heap/released:bytes + "
     "/memory/classes/heap/free:bytes.",
     "service pid"},
    {"go_memstats_heap_idle_bytes",
     Type::kGauge,
     "Number of heap bytes waiting to be used. Equals to /memory/classes/heap/released:bytes + "
     "/memory/classes/heap/free:bytes.",
     "service pid"},
    {"go_memstats_heap_inuse_bytes",
     Type::kGauge,
     "Number of heap bytes that are in use. Equals to /memory/classes/heap/objects:bytes + "
     "/memory/classes/heap/unused:bytes",
     "service pid"},
    {"go_memstats_heap_released_bytes",
     Type::kGauge,
     "Number of heap bytes released to OS. Equals to /memory/classes/heap/released:bytes.",
     "service pid"},
    {"go_memstats_heap_objects",
     Type::kGauge,
     "Number of currently allocated objects. Equals to /gc/heap/objects:objects.",
     "service pid"},
    {"go_memstats_stack_inuse_bytes",
     Type::kGauge,
     "Number of bytes obtained from system for stack allocator in non-CGO environments. Equals to "
     "/memory/classes/heap/stacks:bytes.",
     "service pid"},
    {"go_memstats_stack_sys_bytes",
     Type::kGauge,
     "Number of bytes obtained from system for stack allocator. Equals to "
     "/memory/classes/heap/stacks:bytes + /memory/classes/os-stacks:bytes.",
     "service pid"},
    {"go_memstats_mspan_inuse_bytes",
     Type::kGauge,
     "Number of bytes in use by mspan structures. Equals to "
     "/memory/classes/metadata/mspan/inuse:bytes.",
     "service pid"},
    {"go_memstats_mspan_sys_bytes",
     Type::kGauge,
     "Number of bytes used for mspan structures obtained from system. Equals to "
     "/memory/classes/metadata/mspan/inuse:bytes + /memory/classes/metadata/mspan/free:bytes.",
     "service pid"},
    {"go_memstats_mcache_inuse_bytes",
     Type::kGauge,
     "Number of bytes in use by mcache structures. Equals to "
     "/memory/classes/metadata/mcache/inuse:bytes.",
     "service pid"},
    {"go_memstats_mcache_sys_bytes",
     Type::kGauge,
     "Number of bytes used for mcache structures obtained from system. Equals to "
     "/memory/classes/metadata/mcache/inuse:bytes + /memory/classes/metadata/mcache/free:bytes.",
     "service pid"},
    {"go_memstats_buck_hash_sys_bytes",
     Type::kGauge,
     "Number of bytes used by the profiling bucket hash table. Equals to "
     "/memory/classes/profiling/buckets:bytes.",
     "service pid"},
    {"go_memstats_gc_sys_bytes",
     Type::kGauge,
     "Number of bytes used for garbage collection system metadata. Equals to "
     "/memory/classes/metadata/other:bytes.",
     "service pid"},
    {"go_memstats_other_sys_bytes",
     Type::kGauge,
     "Number of bytes used for other system allocations. Equals to /memory/classes/other:bytes.",
     "service pid"},
    {"go_memstats_next_gc_bytes",
     Type::kGauge,
     "Number of heap bytes when next garbage collection will take place. Equals to "
     "/gc/heap/goal:bytes.",
     "service pid"},
    {"go_gc_gogc_percent",
     Type::kGauge,
     "Heap size target percentage configured by the user, otherwise 100. This value is set by the "
     "GOGC environment variable, and the runtime/debug.SetGCPercent function. Sourced from "
     "/gc/gogc:percent.",
     "service pid"},
    {"go_gc_gomemlimit_bytes",
     Type::kGauge,
     "Go runtime memory limit configured by the user, otherwise math.MaxInt64. This value is set "
     "by the GOMEMLIMIT environment variable, and the runtime/debug.SetMemoryLimit function. "
     "Sourced from /gc/gomemlimit:bytes.",
     "service pid"},
    {"go_sched_gomaxprocs_threads",
     Type::kGauge,
     "The current runtime.GOMAXPROCS setting, or the number of operating system threads that can "
     "execute user-level Go code simultaneously. Sourced from /sched/gomaxprocs:threads.",
     "service pid"},
    {"go_gc_duration_seconds",
     Type::kSummary,
     "A summary of the wall-time pause (stop-the-world) duration in garbage collection cycles.",
     "service pid quantile"},
    {"go_info", Type::kGauge, "Information about the Go environment.", "service pid version"},
    {"go_build_info",
     Type::kGauge,
     "Build information about the main Go module.",
     "service pid path version go_version"},
    {"go_gc_pauses_seconds",
     Type::kHistogram,
     "Deprecated. Prefer the identical /sched/pauses/total/gc:seconds. Sourced from "
     "/gc/pauses:seconds.",
     "service pid"},
    {"go_sched_latencies_seconds",
     Type::kHistogram,
     "Distribution of the time goroutines have spent in the scheduler in a runnable state before "
     "actually running. Bucket counts increase monotonically. Sourced from "
     "/sched/latencies:seconds.",
     "service pid"},
    {"go_sched_pauses_total_gc_seconds",
     Type::kHistogram,
     "Distribution of individual GC-related stop-the-world pause latencies. This is the time from "
     "deciding to stop the world until the world is started again. Some of this time is spent "
     "getting all threads to stop (this is measured directly in "
     "/sched/pauses/stopping/gc:seconds), during which some threads may still be running. Bucket "
     "counts increase monotonically. Sourced from /sched/pauses/total/gc:seconds.",
     "service pid"},
    {"go_sched_pauses_stopping_gc_seconds",
     Type::kHistogram,
     "Distribution of individual GC-related stop-the-world stopping latencies. This is the time it "
     "takes from deciding to stop the world until all Ps are stopped. This is a subset of the "
     "total GC-related stop-the-world time (/sched/pauses/total/gc:seconds). During this time, "
     "some threads may be executing. Bucket counts increase monotonically. Sourced from "
     "/sched/pauses/stopping/gc:seconds.",
     "service pid"},
    {"go_sched_pauses_total_other_seconds",
     Type::kHistogram,
     "Distribution of individual non-GC-related stop-the-world pause latencies. This is the time "
     "from deciding to stop the world until the world is started again. Some of this time is spent "
     "getting all threads to stop (measured directly in /sched/pauses/stopping/other:seconds). "
     "Bucket counts increase monotonically. Sourced from /sched/pauses/total/other:seconds.",
     "service pid"},
    {"go_sched_pauses_stopping_other_seconds",
     Type::kHistogram,
     "Distribution of individual non-GC-related stop-the-world stopping latencies. This is the "
     "time it takes from deciding to stop the world until all Ps are stopped. This is a subset of "
     "the total non-GC-related stop-the-world time (/sched/pauses/total/other:seconds). During "
     "this time, some threads may be executing. Bucket counts increase monotonically. Sourced from "
     "/sched/pauses/stopping/other:seconds.",
     "service pid"},
    {"sonde_go_processes",
     Type::kGauge,
     "Live Go processes at this scrape, by what came of reading their runtime: read, over_limit "
     "(more than 32 of a service or go_runtime.processes of the node), gone, starting, swapped, "
     "unsettled, implausible, denied, stalled.",
     "result"},
};

}  // namespace sonde::go_runtime
