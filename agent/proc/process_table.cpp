// SPDX-License-Identifier: Apache-2.0
#include "agent/proc/process_table.hpp"

#include <unordered_set>

namespace sonde {

Process* ProcessTable::find(const ProcessId& id)
{
  auto* process = find(id.tgid);
  return process != nullptr && process->start_ticks == id.start_ticks ? process : nullptr;
}

Process* ProcessTable::find(std::uint32_t tgid)
{
  const auto found = processes_.find(tgid);
  return found == processes_.end() ? nullptr : &found->second;
}

ProcessTable::Inserted ProcessTable::insert(const ProcessId& id)
{
  if (has_exited(id))
    return {nullptr, false, std::nullopt};
  auto& process = processes_[id.tgid];
  if (process.start_ticks == id.start_ticks)
    return {&process, false, std::nullopt};
  Inserted result{&process, true, std::nullopt};
  if (process.start_ticks != 0)
    result.replaced = std::move(process);
  process = {};
  process.start_ticks = id.start_ticks;
  return result;
}

ProcessTable::Removed ProcessTable::remove(const ProcessId& id)
{
  if (has_exited(id))
    return {std::nullopt, true};
  exited_[id.tgid % kRemembered] = id;
  const auto found = processes_.find(id.tgid);
  if (found == processes_.end() || found->second.start_ticks != id.start_ticks)
    return {std::nullopt, false};
  Removed removed{std::move(found->second), false};
  processes_.erase(found);
  return removed;
}

std::vector<std::uint32_t> ProcessTable::copies_of(std::uint32_t tgid)
{
  // As many passes over an unsorted map as there are generations: rare.
  std::unordered_set<std::uint32_t> family = {tgid};
  for (bool grown = true; grown;) {
    grown = false;
    for (const auto& [child, process] : processes_)
      if (process.copied && family.contains(process.parent.tgid) && !family.contains(child) &&
          find(process.parent) != nullptr) {
        family.insert(child);
        grown = true;
      }
  }
  return {family.begin(), family.end()};
}

std::array<std::uint32_t, SONDE_SLOTS> ProcessTable::trees() const
{
  std::array<std::uint32_t, SONDE_SLOTS> trees{};
  for (const auto& [tgid, process] : processes_) {
    const auto parent = processes_.find(process.parent.tgid);
    const bool inside = parent != processes_.end() &&
                        parent->second.start_ticks == process.parent.start_ticks &&
                        parent->second.slot == process.slot;
    trees[process.slot] += inside ? 0 : 1;
  }
  return trees;
}

}  // namespace sonde
