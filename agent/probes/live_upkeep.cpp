// SPDX-License-Identifier: Apache-2.0
// What LiveExecutables does by the clock: deserted files, budgets, comparisons with /proc.
#include <algorithm>
#include <fmt/format.h>

#include "agent/base/clock.hpp"
#include "agent/base/log.hpp"
#include "agent/probes/live_executables.hpp"

namespace sonde {

namespace {

// Files that are deserted one after the other are detached together: it takes 50 ms or more.
constexpr std::uint64_t kSoonNs = 50'000'000;

}  // namespace

void LiveExecutables::arm_sweep(std::uint64_t delay_ns)
{
  if (!std::exchange(sweeping_, true))
    sweep_.arm_once(std::chrono::nanoseconds(delay_ns));
}

// Files that nobody uses any more.
void LiveExecutables::sweep()
{
  sweeping_ = false;
  const auto now = monotonic_ns();
  std::vector<FileKey> deserted;
  std::vector<FileKey> unprobed;
  std::uint64_t next = 0;
  for (auto& [key, file] : files_) {
    if (!file.processes.empty())
      continue;
    const auto deserted_for = now - file.deserted_ns;
    if (file.busy || deserted_for < kLingerNs)
      next = std::min(next == 0 ? kLingerNs : next,
                      std::max(kSoonNs, kLingerNs - std::min(deserted_for, kLingerNs)));
    else if (std::ranges::find(file.uses, State::kAttached, &Use::state) != file.uses.end())
      deserted.push_back(key);
    else
      unprobed.push_back(key);
  }
  for (const auto& key : unprobed)
    forget(files_.at(key));
  // The kernel takes perf events off one by one: a file that is used again need not wait for all.
  if (kind_ && *kind_ == bpf::UprobeKind::kPerf)
    for (const auto& key : deserted)
      detach({key}, 0);
  else if (!deserted.empty())
    detach(deserted, 0);
  if (next != 0)
    arm_sweep(next);
}

void LiveExecutables::tick()
{
  const auto now = monotonic_ns();
  watch_budget(now);
  count_uninstrumented();
  for (auto& [key, file] : files_) {
    for (auto& use : file.uses)
      if (use.state == State::kResting && now >= use.rests_until_ns)
        use.state = State::kPlanned;
    consider(file);
  }
  // Without facts /proc alone tells of processes; with them, of what they missed.
  const std::uint64_t between = told_ ? 60'000'000'000 : 2'000'000'000;
  if (!members_.empty() && now - compared_ns_ >= between)
    resync();
  constexpr std::uint64_t kBetweenLooks = 30'000'000'000;
  if (wants_libraries() && now - looked_ns_ >= kBetweenLooks) {
    looked_ns_ = now;
    std::vector<ProcessId> all;
    for (const auto& [tgid, running] : processes_)
      all.push_back({tgid, running.start_ticks});
    look_into(std::move(all));
  }
}

void LiveExecutables::count_uninstrumented()
{
  std::map<std::string, std::unordered_set<std::uint32_t>> processes;
  for (const auto& [key, file] : files_)
    for (const auto& use : file.uses)
      if ((use.state == State::kRefused || use.state == State::kResting) &&
          !use.refusal.reason.empty())
        for (const auto& [tgid, start] : file.processes)
          processes[use.refusal.reason].insert(tgid);
  const std::scoped_lock lock(counts_mutex_);
  // A reason stays once it was there.
  for (auto& [reason, count] : uninstrumented_)
    count = 0;
  for (const auto& [reason, tgids] : processes)
    uninstrumented_[reason] = tgids.size();
}

std::map<std::string, std::uint64_t> LiveExecutables::uninstrumented() const
{
  const std::scoped_lock lock(counts_mutex_);
  return uninstrumented_;
}

std::uint64_t LiveExecutables::hits_of(const File& file) const
{
  std::uint64_t total = 0;
  for (unsigned cpu = 0; cpu < hits_.cpus(); ++cpu)
    total += hits_.at(cpu, 0).hits[file.about.number];
  return total;
}

void LiveExecutables::watch_budget(std::uint64_t now_ns)
{
  const auto elapsed = std::max<std::uint64_t>(now_ns - std::exchange(ticked_ns_, now_ns), 1);
  std::vector<FileKey> over;
  for (auto& [key, file] : files_) {
    if (!file.numbered)
      continue;
    const auto hits = hits_of(file);
    const auto rate = static_cast<double>(hits - std::exchange(file.hits, hits)) * 1e9 /
                      static_cast<double>(elapsed);
    if (limits_.hits_per_second == 0 || file.busy ||
        rate <= static_cast<double>(limits_.hits_per_second))
      continue;
    over.push_back(key);
    const auto text =
        fmt::format("detached from {} for {} s: {:.0f} hits a second are above uprobes.max-hits {}",
                    file.about.path,
                    limits_.rest / std::chrono::seconds(1),
                    rate,
                    limits_.hits_per_second);
    log::warn("uprobes detached", {{"file", file.about.path}, {"reason", text}});
    for (auto& use : file.uses)
      if (use.state == State::kAttached && !use.links.empty()) {
        use.refusal = {"over_budget", text};
        hooks_.report(use.member->user->name(), kHook, true, text);
      }
  }
  if (!over.empty())
    detach(over, now_ns + static_cast<std::uint64_t>(limits_.rest.count()));
}

void LiveExecutables::count(std::string_view family, const std::function<void(Count&)>& change)
{
  const std::scoped_lock lock(counts_mutex_);
  if (const auto found = std::ranges::find(counts_, family, &Count::family); found != counts_.end())
    change(*found);
}

std::vector<Executables::Count> LiveExecutables::counts() const
{
  const std::scoped_lock lock(counts_mutex_);
  return counts_;
}

}  // namespace sonde
