// SPDX-License-Identifier: Apache-2.0
#include "agent/proc/service_table.hpp"

#include <algorithm>

#include "agent/base/text.hpp"
#include "agent/metrics/labels.hpp"

namespace sonde {

Result<std::unique_ptr<DiscoveredServices>>
DiscoveredServices::create(const Settings& settings,
                           proc::ProcFs procfs,
                           std::unique_ptr<SlotMemory> memory,
                           std::uint32_t self,
                           Clock now)
{
  auto policy = SONDE_TRY(read_policy(settings));
  std::unique_ptr<DiscoveredServices> services(
      new DiscoveredServices(std::move(procfs), std::move(memory), self, std::move(now)));
  const std::scoped_lock lock(services->mutex_);
  services->adopt_policy(std::move(policy));
  services->compare_with_proc();
  services->counts_.repaired = 0;  // the first look finds everything
  return services;
}

std::shared_ptr<const ServiceTable> DiscoveredServices::table() const
{
  const std::scoped_lock lock(mutex_);
  if (changed_) {
    // Shared, because a scrape goes on with the table it began with.
    snapshot_ = std::make_shared<const ServiceTable>(slots_.table(processes_.trees()));
    changed_ = false;
  }
  return snapshot_;
}

ServiceCounts DiscoveredServices::counts() const
{
  const std::scoped_lock lock(mutex_);
  auto counts = counts_;
  counts.processes = processes_.size();
  return counts;
}

Process* DiscoveredServices::learn(const ProcessId& id)
{
  auto inserted = processes_.insert(id);
  if (inserted.replaced) {
    ++counts_.repaired;
    slots_.remove_process(inserted.replaced->slot, now_());
  }
  if (inserted.fresh)
    slots_.add_process(SONDE_SLOT_OTHER);
  changed_ = true;
  return inserted.process;
}

void DiscoveredServices::forget(const Process& process)
{
  slots_.remove_process(process.slot, now_());
  changed_ = true;
}

// The slot of a name, taken when it is new. The kernel and the observers know of it before any
// process is in it.
std::uint16_t DiscoveredServices::slot_named(std::string name, bool& folded)
{
  folded = false;
  // As its label will be, so that no two services have the same one.
  name = valid_utf8(trim(name), metrics::kMaxLabelBytes);
  if (name.empty() || policy_.ignored.contains(name))
    return SONDE_SLOT_OTHER;
  if (const auto slot = slots_.find(name))
    return *slot;
  const auto taken = slots_.take(name, now_());
  if (!taken) {
    folded = true;
    return SONDE_SLOT_OTHER;
  }
  memory_->set_generation(taken->slot, taken->generation);
  for (auto* observer : observers_)
    observer->slot_taken(taken->slot, taken->generation);
  changed_ = true;
  return taken->slot;
}

void DiscoveredServices::put(std::uint32_t tgid, Process& process, std::uint16_t slot)
{
  if (process.slot != slot) {
    slots_.remove_process(process.slot, now_());
    slots_.add_process(slot);
    process.slot = slot;
    changed_ = true;
  }
  // The kernel may have copied another slot meanwhile.
  const auto seen = memory_->slot(tgid);
  if (seen == slot)
    return;
  memory_->set_slot(tgid, slot);
  for (auto* observer : observers_)
    observer->process_moved(tgid, seen, slot);
}

void DiscoveredServices::name_process(std::uint32_t tgid, Process& process, const std::string& name)
{
  bool folded = false;
  const auto slot = tgid == self_ ? std::uint16_t{SONDE_SLOT_AGENT} : slot_named(name, folded);
  if (folded && !process.folded)
    ++counts_.folded;
  process.folded = folded;
  put(tgid, process, slot);
}

void DiscoveredServices::forked(const ForkFact& fact)
{
  const std::scoped_lock lock(mutex_);
  const bool known = processes_.find(fact.process) != nullptr;
  auto* process = learn(fact.process);
  if (process == nullptr || known)
    return;
  process->parent = fact.parent;
  process->kernel_thread = fact.kernel_thread;
  process->copied = true;
  auto slot = memory_->slot(fact.process.tgid);
  if (const auto* parent = processes_.find(fact.parent); parent != nullptr) {
    slot = parent->slot;
    process->application = parent->application;
    process->folded = parent->folded;
  }
  if (fact.kernel_thread)
    slot = SONDE_SLOT_KERNEL;
  put(fact.process.tgid, *process, slots_.held(slot) ? slot : std::uint16_t{SONDE_SLOT_OTHER});
}

// Reads what the fact leaves open, as long as the process is still there. Returns the text that
// the traits then refer to.
std::string DiscoveredServices::fill_from_proc(const ExecFact& fact, proc::Traits& traits) const
{
  const auto tgid = fact.process.tgid;
  std::string environment;
  const bool ask_environment = traits.declared_name.empty() && !fact.environment_complete;
  const bool ask_cgroup = traits.declared_name.empty() && !fact.cgroup_complete &&
                          traits.cgroup.container.empty() && traits.cgroup.unit.empty();
  if (!ask_environment && !ask_cgroup)
    return environment;
  if (ask_environment)
    environment = procfs_.environment(tgid);
  const auto cgroup = ask_cgroup ? procfs_.cgroup(tgid) : std::string();
  const auto stat = procfs_.stat(tgid);
  if (!stat || stat->start_ticks != fact.process.start_ticks)
    return environment;
  if (ask_environment)
    traits.declared_name =
        proc::find_variable(environment, proc::kNameVariable).value_or(std::string_view());
  if (ask_cgroup) {
    traits.cgroup = proc::parse_cgroup_file(cgroup);
    traits.cgroup_path = proc::cgroup_paths(cgroup);
  }
  return environment;
}

void DiscoveredServices::executed(const ExecFact& fact)
{
  const std::scoped_lock lock(mutex_);
  auto* process = learn(fact.process);
  if (process == nullptr)
    return;
  auto traits = fact.traits;
  const auto environment = fill_from_proc(fact, traits);
  process->parent = fact.parent;
  process->copied = false;
  process->kernel_thread = false;
  process->parent_asked = false;
  process->application = proc::application_name(traits);
  name_process(fact.process.tgid, *process, proc::placed_name(traits, policy_.rules));
}

std::optional<std::uint16_t> DiscoveredServices::exited(const ExitFact& fact)
{
  const std::scoped_lock lock(mutex_);
  const auto removed = processes_.remove(fact.process);
  if (removed.repeated)
    return std::nullopt;
  if (!removed.process)
    return slots_.held(fact.slot) ? fact.slot : std::uint16_t{SONDE_SLOT_OTHER};
  forget(*removed.process);
  return removed.process->slot;
}

void DiscoveredServices::now_listening(std::uint32_t tgid)
{
  const std::scoped_lock lock(mutex_);
  const auto* listener = processes_.find(tgid);
  if (listener == nullptr || listener->slot != SONDE_SLOT_OTHER || listener->kernel_thread)
    return;
  const auto name = listener->application;
  for (const auto member : processes_.copies_of(tgid))
    if (auto* process = processes_.find(member); process->slot == SONDE_SLOT_OTHER)
      name_process(member, *process, name);
}

}  // namespace sonde
