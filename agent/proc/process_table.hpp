// SPDX-License-Identifier: Apache-2.0
// The live processes of the node and the slot of each. Pure: knows no /proc and no clock; the
// registry tells it what happened, in any order, some of it twice or never.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sonde/abi.h"

#include "agent/proc/process_facts.hpp"

namespace sonde {

struct Process {
  std::uint64_t start_ticks = 0;
  ProcessId parent;
  std::uint16_t slot = SONDE_SLOT_OTHER;
  bool kernel_thread = false;
  bool copied = false;        // has not executed anything since its fork: shares its parent's slot
  bool folded = false;        // its service found no free slot
  std::uint8_t absences = 0;  // looks at /proc in a row that did not find it
  bool parent_asked = false;  // /proc was asked who adopted it
  std::string application;    // its service's name as soon as it listens
};

class ProcessTable {
public:
  using Map = std::unordered_map<std::uint32_t, Process>;

  // The live process with this identity, or nothing.
  Process* find(const ProcessId& id);
  Process* find(std::uint32_t tgid);
  const Map& all() const { return processes_; }
  Map& all() { return processes_; }
  std::size_t size() const { return processes_.size(); }

  struct Inserted {
    Process* process;                 // nothing when it has exited already
    bool fresh;                       // was not known
    std::optional<Process> replaced;  // a dead one whose exit was missed
  };
  Inserted insert(const ProcessId& id);

  // What was known of it; nothing and `repeated` when the same exit was told before.
  struct Removed {
    std::optional<Process> process;
    bool repeated;
  };
  Removed remove(const ProcessId& id);

  // The process and those of its descendants that are copies of it.
  std::vector<std::uint32_t> copies_of(std::uint32_t tgid);

  // Trees in each slot: processes whose parent is not in the same slot.
  std::array<std::uint32_t, SONDE_SLOTS> trees() const;

private:
  static constexpr std::size_t kRemembered = 4096;

  bool has_exited(const ProcessId& id) const { return exited_[id.tgid % kRemembered] == id; }

  Map processes_;
  // The last exits, by tgid: an exit told twice (both of the last two threads of a kernel before
  // 6.16), or before its own fork.
  std::vector<ProcessId> exited_ = std::vector<ProcessId>(kRemembered);
};

}  // namespace sonde
