// SPDX-License-Identifier: Apache-2.0
// Variables of Go's runtime, found without symbols: a method of a global receiver is called with
// its address, so the calls in the runtime's code vote for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/elf/go_binary.hpp"

namespace sonde::elf {

// Addresses as in the file: a process has them at + load bias. Absent: not found with certainty.
struct GoGlobals {
  std::optional<std::uint64_t> gc_controller;  // runtime.gcController
  std::optional<std::uint64_t> memstats;       // runtime.memstats, whose first field is heapStats
  std::optional<std::uint64_t> heap;           // runtime.mheap_

  // runtime.timeHistogram each.
  std::optional<std::uint64_t> scheduler_latency;  // sched.timeToRun
  std::optional<std::uint64_t> gc_pause;           // memstats.gcPauseDist, up to Go 1.21
  std::optional<std::uint64_t> stop_gc;  // sched.stwStoppingTimeGC, Go 1.22 and later, and so on
  std::optional<std::uint64_t> stop_other;
  std::optional<std::uint64_t> pause_gc;  // sched.stwTotalTimeGC
  std::optional<std::uint64_t> pause_other;

  // Where a process' memory may be searched for runtime.allgs ({pointer, length, capacity} of *g,
  // the first of which has goid 1 and startpc = main_function).
  std::vector<AddressRange> data;
  std::optional<std::uint64_t> main_function;  // runtime.main

  // "IO wait", "select", …: by the number in g.waitreason. Empty where not found.
  std::vector<std::string> wait_reasons;
};

GoGlobals find_go_globals(const GoBinary& binary);

}  // namespace sonde::elf
