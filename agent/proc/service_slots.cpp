// SPDX-License-Identifier: Apache-2.0
#include "agent/proc/service_slots.hpp"

#include <algorithm>

#include "agent/metrics/labels.hpp"

namespace sonde {

ServiceSlots::ServiceSlots()
{
  const std::pair<std::uint16_t, const char*> always[] = {
      {SONDE_SLOT_OTHER, "other"}, {SONDE_SLOT_KERNEL, "kernel"}, {SONDE_SLOT_AGENT, "sonde"}};
  for (const auto& [slot, name] : always) {
    hold(slot, name, 0);
    entries_[slot].lasting = true;
  }
}

void ServiceSlots::hold(std::uint16_t slot, const std::string& name, std::uint64_t now_ns)
{
  auto& entry = entries_[slot];
  entry.name = name;
  entry.labels = metrics::label_block({{"service", name}});
  entry.empty_since_ns = now_ns;
  entry.processes = 0;
  entry.held = true;
  entry.lasting = false;
  by_name_.insert_or_assign(name, slot);
}

std::optional<std::uint16_t> ServiceSlots::find(const std::string& name) const
{
  const auto found = by_name_.find(name);
  if (found == by_name_.end())
    return std::nullopt;
  return found->second;
}

std::optional<ServiceSlots::Taken> ServiceSlots::take(const std::string& name, std::uint64_t now_ns)
{
  const auto end = std::min<std::size_t>(SONDE_SLOT_DYNAMIC + limits_.dynamic, SONDE_SLOTS);
  // The one that has been free for longest: what still refers to a slot by mistake finds it empty.
  std::optional<std::uint16_t> chosen;
  for (std::uint16_t slot = SONDE_SLOT_DYNAMIC; slot < end; ++slot)
    if (!entries_[slot].held &&
        (!chosen || entries_[slot].empty_since_ns < entries_[*chosen].empty_since_ns))
      chosen = slot;
  if (!chosen)
    return std::nullopt;
  ++entries_[*chosen].generation;
  hold(*chosen, name, now_ns);
  return Taken{*chosen, entries_[*chosen].generation};
}

void ServiceSlots::expect(const std::string& name, bool expected, std::uint64_t now_ns)
{
  const auto slot = find(name);
  if (!slot || *slot < SONDE_SLOT_DYNAMIC)
    return;
  auto& entry = entries_[*slot];
  if (entry.lasting && !expected)
    entry.empty_since_ns = now_ns;
  entry.lasting = expected;
}

void ServiceSlots::remove_process(std::uint16_t slot, std::uint64_t now_ns)
{
  auto& entry = entries_[slot];
  if (entry.processes > 0 && --entry.processes == 0)
    entry.empty_since_ns = now_ns;
}

std::vector<std::uint16_t> ServiceSlots::expire(std::uint64_t now_ns)
{
  std::vector<std::uint16_t> released;
  const auto expiry = static_cast<std::uint64_t>(limits_.expiry.count());
  for (std::uint16_t slot = SONDE_SLOT_DYNAMIC; slot < SONDE_SLOTS; ++slot) {
    auto& entry = entries_[slot];
    if (!entry.held || entry.lasting || entry.processes > 0 ||
        now_ns < entry.empty_since_ns + expiry)
      continue;
    by_name_.erase(entry.name);
    entry.held = false;
    entry.empty_since_ns = now_ns;
    released.push_back(slot);
  }
  return released;
}

ServiceTable ServiceSlots::table(const std::array<std::uint32_t, SONDE_SLOTS>& instances) const
{
  ServiceTable table;
  for (std::uint16_t slot = 0; slot < SONDE_SLOTS; ++slot)
    if (const auto& entry = entries_[slot]; entry.held)
      table.push_back({slot, entry.generation, entry.name, entry.labels, instances[slot]});
  return table;
}

}  // namespace sonde
