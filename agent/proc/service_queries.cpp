// SPDX-License-Identifier: Apache-2.0
// What `sonde explain` asks of the services. Any thread.
#include <algorithm>

#include "agent/base/text.hpp"
#include "agent/metrics/labels.hpp"
#include "agent/proc/service_table.hpp"

namespace sonde {

std::vector<std::uint32_t> DiscoveredServices::processes_in(std::uint16_t slot) const
{
  std::vector<std::uint32_t> tgids;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [tgid, process] : processes_.all())
      if (process.slot == slot)
        tgids.push_back(tgid);
  }
  std::ranges::sort(tgids);
  return tgids;
}

// Looks once more at what decides a name, for the table keeps the result only.
std::string_view DiscoveredServices::named_by(std::uint32_t tgid, std::string_view name) const
{
  const auto stat = procfs_.stat(tgid);
  if (!stat || stat->kernel_thread() || tgid == self_)
    return {};
  proc::NamingRules rules;
  {
    const std::scoped_lock lock(mutex_);
    rules = policy_.rules;
  }
  const proc::Inspection inspection(procfs_, tgid, stat->comm);
  const auto& traits = inspection.traits();
  const auto is_name = [&](std::string_view candidate) {
    return valid_utf8(trim(candidate), metrics::kMaxLabelBytes) == name;
  };
  if (const auto matched = rules.match(traits); matched && is_name(*matched))
    return "a rule of services.rules";
  if (is_name(traits.declared_name))
    return proc::kNameVariable;
  if (!traits.cgroup.container.empty() && is_name(traits.cgroup.short_container()))
    return "its container";
  if (!traits.cgroup.unit.empty() && is_name(traits.cgroup.unit))
    return "its systemd unit";
  return is_name(proc::application_name(traits)) ? "its application, which listens"
                                                 : "the process that started it";
}

}  // namespace sonde
