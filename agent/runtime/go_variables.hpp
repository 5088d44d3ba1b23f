// SPDX-License-Identifier: Apache-2.0
// Variables of Go's runtime in a program without symbols: functions that every program has use
// fields of them by address, and each such use votes for where its variable begins. What wins also
// confirms the offsets of the table.
#pragma once

#include <cstdint>

#include "agent/base/result.hpp"
#include "agent/elf/go_binary.hpp"
#include "agent/runtime/go_layout.hpp"

namespace sonde::runtime {

// Addresses as in the file.
struct GoVariables {
  std::uint64_t controller = 0;  // runtime.gcController
  std::uint64_t memstats = 0;
  std::uint64_t scheduler = 0;   // runtime.sched
  std::uint64_t heap = 0;        // runtime.mheap_
  std::uint64_t goroutines = 0;  // runtime.allgs: {pointer, length, capacity} of *g
  std::uint64_t processors = 0;  // runtime.allp, of *p

  bool operator==(const GoVariables&) const = default;
};

// x86-64 only. Fails with the name of what is not found with certainty.
Result<GoVariables> find_go_variables(const elf::GoBinary& binary, const GoLayout& layout);

}  // namespace sonde::runtime
