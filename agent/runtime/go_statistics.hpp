// SPDX-License-Identifier: Apache-2.0
// From the runtime's raw counts to what it would say of itself; pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <vector>

#include "agent/runtime/go_memory.hpp"

namespace sonde::runtime {

// What was read of one process.
struct GoRaw {
  std::vector<std::byte> memstats;  // runtime.mstats from stacks_sys to pause_ns
  std::uint32_t num_gc = 0;
  std::vector<std::uint64_t> heap_stats;  // the three parts' sums
  std::vector<std::byte> controller;
  std::uint64_t spans_in_use = 0;
  std::uint64_t caches_in_use = 0;
  std::uint64_t goroutines = 0;
  std::uint64_t threads = 0;
  std::uint64_t processors = 0;
  GoHistogram latencies;
  GoHistogram gc_pauses;
  GoHistogram gc_stopping;
  GoHistogram other_pauses;
  GoHistogram other_stopping;
};

// kImplausible where sums that the runtime keeps twice do not agree.
std::expected<GoSample, GoAbsence> go_sample(const GoLayout& layout, GoRaw raw);

}  // namespace sonde::runtime
