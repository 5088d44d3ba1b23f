// SPDX-License-Identifier: Apache-2.0
// The slow half of DiscoveredServices: settings, comparison with /proc, expiry and timers.
#include <algorithm>
#include <unistd.h>

#include "agent/base/clock.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/proc/service_table.hpp"

namespace sonde {

namespace {

constexpr Setting kSettings[] = {
    {.key = "services.rules",
     .kind = SettingKind::kRecords,
     .fallback = "",
     .help = "names services: a rule applies where all its regular expressions match; \\1 in the "
             "name is a capture of the first one given",
     .fields = "name exe args cgroup unit container",
     .reloads = true},
    {.key = "services.expected",
     .kind = SettingKind::kTexts,
     .fallback = "",
     .help = "services that are always listed, at 0 when they have no process",
     .reloads = true},
    {.key = "services.ignore",
     .kind = SettingKind::kTexts,
     .fallback = "",
     .help = "services never told apart: their processes stay in \"other\"",
     .reloads = true},
    {.key = "services.max",
     .kind = SettingKind::kInteger,
     .fallback = "250",
     .help = "how many services are told apart, at most 253; the rest is \"other\"",
     .reloads = true},
    {.key = "services.expiry",
     .kind = SettingKind::kDuration,
     .fallback = "5m",
     .help = "how long a service stays listed after its last process has gone",
     .reloads = true},
    {.key = "services.resync",
     .kind = SettingKind::kDuration,
     .fallback = "60s",
     .help = "how often the process table is compared with /proc",
     .reloads = true},
};

class SharedSlots : public SlotMemory {
public:
  explicit SharedSlots(bpf::SharedMaps& maps) : maps_(maps) {}

  std::uint16_t slot(std::uint32_t tgid) const override { return maps_.slot(tgid); }
  void set_slot(std::uint32_t tgid, std::uint16_t slot) override { maps_.set_slot(tgid, slot); }
  void set_generation(std::uint16_t slot, std::uint16_t generation) override
  {
    maps_.set_generation(slot, generation);
  }

private:
  bpf::SharedMaps& maps_;
};

}  // namespace

std::span<const Setting> service_settings()
{
  return kSettings;
}

Result<DiscoveredServices::Policy> DiscoveredServices::read_policy(const Settings& settings)
{
  constexpr std::int64_t kMost = SONDE_SLOTS - SONDE_SLOT_DYNAMIC;
  const auto most = settings.integer("services.max");
  if (most < 0 || most > kMost)
    return fail("services.max: must be between 0 and " + std::to_string(kMost));
  Policy policy;
  policy.rules = SONDE_TRY(proc::NamingRules::compile(settings.records("services.rules")));
  policy.expected = settings.texts("services.expected");
  const auto& ignored = settings.texts("services.ignore");
  policy.ignored.insert(ignored.begin(), ignored.end());
  policy.limits = {static_cast<std::size_t>(most), settings.duration("services.expiry")};
  policy.resync = settings.duration("services.resync");
  return policy;
}

void DiscoveredServices::adopt_policy(Policy policy)
{
  const auto before = std::exchange(policy_, std::move(policy));
  slots_.limit(policy_.limits);
  for (const auto& name : before.expected)
    slots_.expect(name, false, now_());
  for (const auto& name : policy_.expected) {
    bool folded = false;
    slot_named(name, folded);
    slots_.expect(name, true, now_());
  }
  changed_ = true;
}

Result<> DiscoveredServices::apply(const Settings& settings)
{
  auto policy = SONDE_TRY(read_policy(settings));
  const std::scoped_lock lock(mutex_);
  adopt_policy(std::move(policy));
  std::vector<std::uint32_t> tgids;
  for (const auto& [tgid, process] : processes_.all())
    tgids.push_back(tgid);
  const auto listening = procfs_.listening(tgids);
  for (auto& [tgid, process] : processes_.all())
    if (const auto stat = procfs_.stat(tgid); stat && stat->start_ticks == process.start_ticks)
      name_from_proc(tgid, process, stat->comm, listening);
  return {};
}

void DiscoveredServices::name_from_proc(std::uint32_t tgid,
                                        Process& process,
                                        const std::string& comm,
                                        const std::unordered_set<std::uint64_t>& listening)
{
  if (process.kernel_thread) {
    put(tgid, process, SONDE_SLOT_KERNEL);
    return;
  }
  const proc::Inspection seen(procfs_, tgid, comm);
  process.application = proc::application_name(seen.traits());
  auto name = proc::placed_name(seen.traits(), policy_.rules);
  if (name.empty() && !listening.empty() && procfs_.has_socket(tgid, listening))
    name = process.application;
  name_process(tgid, process, name);
}

void DiscoveredServices::resync()
{
  const std::scoped_lock lock(mutex_);
  compare_with_proc();
}

// A process found gone may have exited after this list was made, with its exit still in the ring:
// only the second miss takes it out of the table.
void DiscoveredServices::drop_missing()
{
  auto& all = processes_.all();
  for (auto entry = all.begin(); entry != all.end();) {
    if (entry->second.absences < 2) {
      ++entry;
      continue;
    }
    forget(entry->second);
    ++counts_.repaired;
    entry = all.erase(entry);
  }
}

void DiscoveredServices::compare_with_proc()
{
  compared_ns_ = now_();
  const auto tgids = procfs_.processes();
  if (!tgids)
    return;
  for (auto& [tgid, process] : processes_.all())
    ++process.absences;
  std::optional<std::unordered_set<std::uint64_t>> listening;
  std::vector<std::uint32_t> fresh;
  for (const auto tgid : *tgids) {
    const auto stat = procfs_.stat(tgid);
    if (!stat || stat->dead())
      continue;
    const ProcessId id{tgid, stat->start_ticks};
    auto* process = processes_.find(id);
    if (process != nullptr && !process->folded) {
      process->absences = 0;
      put(tgid, *process, process->slot);
      continue;
    }
    const bool known = process != nullptr;
    process = learn(id);
    if (process == nullptr)
      continue;
    process->absences = 0;
    process->kernel_thread = stat->kernel_thread();
    if (!listening)
      listening = procfs_.listening(*tgids);
    name_from_proc(tgid, *process, stat->comm, *listening);
    if (known)
      continue;
    process->parent = {stat->parent, 0};
    fresh.push_back(tgid);
    ++counts_.repaired;
  }
  drop_missing();
  connect(fresh);
}

// Gives the processes found in /proc their parents' identity. One that runs the same application
// as its parent is taken for a copy of it, which no longer shows that it never executed anything.
void DiscoveredServices::connect(const std::vector<std::uint32_t>& fresh)
{
  for (const auto tgid : fresh) {
    auto* process = processes_.find(tgid);
    if (process == nullptr)
      continue;
    if (const auto* parent = processes_.find(process->parent.tgid); parent != nullptr)
      process->parent.start_ticks = parent->start_ticks;
  }
  for (bool moved = true; moved;) {
    moved = false;
    for (const auto tgid : fresh) {
      auto* process = processes_.find(tgid);
      const auto* parent = process != nullptr ? processes_.find(process->parent) : nullptr;
      if (parent == nullptr || process->slot != SONDE_SLOT_OTHER ||
          parent->slot < SONDE_SLOT_DYNAMIC || parent->application != process->application)
        continue;
      process->copied = true;
      put(tgid, *process, parent->slot);
      moved = true;
    }
  }
}

// A process whose parent has exited belongs to whoever adopted it: a container's init counts as
// the parent of its daemons.
void DiscoveredServices::adopt_orphans()
{
  for (auto& [tgid, process] : processes_.all()) {
    if (process.parent_asked || processes_.find(process.parent) != nullptr)
      continue;
    process.parent_asked = true;
    const auto stat = procfs_.stat(tgid);
    if (!stat || stat->start_ticks != process.start_ticks)
      continue;
    if (const auto* adopter = processes_.find(stat->parent); adopter != nullptr) {
      process.parent = {stat->parent, adopter->start_ticks};
      process.parent_asked = false;  // the adopter may exit, too
      changed_ = true;
    }
  }
}

void DiscoveredServices::tick(bool compare)
{
  const std::scoped_lock lock(mutex_);
  adopt_orphans();
  if (compare)
    compare_with_proc();
  for (const auto slot : slots_.expire(now_())) {
    for (auto* observer : observers_)
      observer->slot_released(slot);
    changed_ = true;
  }
}

Result<> DiscoveredServices::keep_up(EventLoop& loop)
{
  using std::chrono::nanoseconds;
  // Often enough that a service is not listed for more than a quarter too long.
  constexpr nanoseconds kSlowest = std::chrono::seconds(5);
  constexpr nanoseconds kFastest = std::chrono::milliseconds(20);
  tick_ = SONDE_TRY(loop.timer([this] {
    tick(now_() - compared_ns_ >= static_cast<std::uint64_t>(policy_.resync.count()));
  }));
  tick_.arm_every(std::clamp(policy_.limits.expiry / 4, kFastest, kSlowest));
  return {};
}

Result<std::unique_ptr<DiscoveredServices>> discover_services(const Settings& settings,
                                                              const std::filesystem::path& procfs,
                                                              bpf::SharedMaps& maps,
                                                              EventLoop& loop)
{
  auto services = SONDE_TRY(DiscoveredServices::create(settings,
                                                       proc::ProcFs(procfs),
                                                       std::make_unique<SharedSlots>(maps),
                                                       static_cast<std::uint32_t>(::getpid()),
                                                       &monotonic_ns));
  SONDE_TRY(services->keep_up(loop));
  return services;
}

}  // namespace sonde
