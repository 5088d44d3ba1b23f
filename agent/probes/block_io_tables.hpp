// SPDX-License-Identifier: Apache-2.0
// The block_io family's metrics and settings.
#pragma once

#include "agent/base/settings.hpp"
#include "agent/metrics/desc.hpp"

namespace sonde::block_io {

// Indices into kMetrics.
enum Index : std::uint8_t { kNodeLatency, kNodeSize, kLatency, kBytes };

inline constexpr metrics::Desc kMetrics[] = {
    {"node_disk_io_latency_seconds",
     metrics::Type::kHistogram,
     "Time from a request's start to its completion, queueing included. Completions are those of "
     "/proc/diskstats, merged requests as one, an empty flush also as a write. Disks that make no "
     "requests (dm, md, zram) are not in here, those beneath them are. Source: block_rq_complete.",
     "device operation"},
    {"node_disk_io_size_bytes",
     metrics::Type::kHistogram,
     "Size of completed requests; the sums are the sectors of /proc/diskstats, a request's parts "
     "included as they complete.",
     "device operation"},
    {"service_block_io_latency_seconds",
     metrics::Type::kHistogram,
     "Time from start to completion of requests that the service's tasks submitted. What is "
     "written back later belongs to service kernel, a flush to the first who asked for it. "
     "Source: block_rq_complete and block_io_start.",
     "service operation"},
    {"service_block_io_bytes_total",
     metrics::Type::kCounter,
     "Bytes of requests that the service's tasks submitted, counted as they complete.",
     "service operation"},
};

inline constexpr Setting kSettings[] = {
    {"block_io.latency_bounds",
     SettingKind::kDurations,
     "16us 32us 64us 128us 256us 512us 1024us 2048us 4096us 16384us 65536us 262144us 1048576us",
     "upper bounds of block I/O latency histograms, at most 15"},
    {"block_io.size_bounds",
     SettingKind::kIntegers,
     "512 4Ki 8Ki 16Ki 32Ki 64Ki 128Ki 256Ki 512Ki 1Mi 4Mi",
     "upper bounds of block I/O size histograms, at most 15"},
    {"block_io.source",
     SettingKind::kText,
     "auto",
     "where latency begins: request (its own start, as /proc/diskstats), issue (handed to the "
     "device, without the time in the queue), or auto",
     "auto request issue"},
    {"block_io.submission",
     SettingKind::kText,
     "auto",
     "where a request's submitter is seen: start (block_io_start, 6.5 and newer), insert "
     "(block_rq_insert, block_rq_issue and block_getrq), or auto",
     "auto start insert"},
    {"block_io.in_flight",
     SettingKind::kInteger,
     "32Ki",
     "requests known at once, rounded up to a power of two; what comes beyond has no known "
     "submitter and is counted as lost"},
    {"block_io.outlier",
     SettingKind::kDuration,
     "1s",
     "block I/O slower than this goes into the list of outliers; 0s turns it off"},
};

}  // namespace sonde::block_io
