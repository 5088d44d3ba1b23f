// SPDX-License-Identifier: Apache-2.0
// The processes of LiveExecutables, and which files they have.
#include <algorithm>
#include <array>

#include "agent/base/clock.hpp"
#include "agent/probes/live_executables.hpp"

namespace sonde {

namespace {

// A loader maps libraries within milliseconds; what a program loads itself comes later.
constexpr std::array<std::uint64_t, 5> kLooks = {
    3'000'000, 30'000'000, 300'000'000, 2'000'000'000, 10'000'000'000};

}  // namespace

bool LiveExecutables::excluded(const std::string& path) const
{
  const auto name = std::string_view(path).substr(path.rfind('/') + 1);
  return std::ranges::any_of(limits_.exclude,
                             [&](const auto& given) { return given == path || given == name; });
}

void LiveExecutables::forked(const ProcessId& process, const ProcessId& parent)
{
  told_ = true;
  if (const auto known = processes_.find(process.tgid);
      known != processes_.end() && known->second.start_ticks == process.start_ticks)
    return;
  const auto from = processes_.find(parent.tgid);
  if (from == processes_.end() || from->second.start_ticks != parent.start_ticks ||
      from->second.executable == FileKey{}) {
    // A parent that ended before it was looked at, as those of daemons do.
    if (from != processes_.end())
      executed(process);
    return;
  }
  // A copy: the map may move.
  const Running parents = from->second;
  auto& running = processes_[process.tgid];
  leave(process.tgid, running);
  running = {process.start_ticks, parents.executable, {}};
  for (const auto& key : parents.files)
    if (const auto file = files_.find(key); file != files_.end())
      join(file->second, process, running);
}

void LiveExecutables::executed(const ProcessId& process)
{
  told_ = true;
  if (const auto executable = open_executable(procfs_, process.tgid)) {
    run(process, *executable);
    return;
  }
  auto& running = processes_[process.tgid];
  leave(process.tgid, running);
  running = {process.start_ticks, {}, {}};
}

void LiveExecutables::run(const ProcessId& process, const OpenFile& executable)
{
  auto& running = processes_[process.tgid];
  leave(process.tgid, running);
  running = {process.start_ticks, executable.key, {}};
  use_file(process, executable, false);
  if (wants_libraries())
    look_later(process, 0);
}

void LiveExecutables::exited(const ProcessId& process)
{
  told_ = true;
  const auto known = processes_.find(process.tgid);
  if (known == processes_.end() || known->second.start_ticks != process.start_ticks)
    return;
  leave(process.tgid, known->second);
  processes_.erase(known);
}

void LiveExecutables::use_file(const ProcessId& process, const OpenFile& open, bool library)
{
  if (open.key == own_ || excluded(open.path))
    return;
  auto& file = files_[open.key];
  if (file.key == FileKey{}) {
    file.key = open.key;
    file.about.library = library;
    file.about.path = open.path;
  }
  join(file, process, processes_[process.tgid]);
  consider(file);
}

void LiveExecutables::join(File& file, const ProcessId& process, Running& running)
{
  if (std::ranges::find(running.files, file.key) == running.files.end())
    running.files.push_back(file.key);
  if (!file.processes.insert_or_assign(process.tgid, process.start_ticks).second)
    return;
  for (const auto& use : file.uses)
    if (use.state == State::kAttached)
      use.member->user->joined(file.about, process);
}

void LiveExecutables::leave(std::uint32_t tgid, Running& running)
{
  for (const auto& key : std::exchange(running.files, {})) {
    const auto found = files_.find(key);
    if (found == files_.end())
      continue;
    auto& file = found->second;
    const auto process = file.processes.find(tgid);
    if (process == file.processes.end())
      continue;
    const ProcessId id{tgid, process->second};
    file.processes.erase(process);
    for (const auto& use : file.uses)
      if (use.state == State::kAttached)
        use.member->user->left(file.about, id);
    if (!file.processes.empty())
      continue;
    file.deserted_ns = monotonic_ns();
    arm_sweep(kLingerNs);
  }
}

void LiveExecutables::resync()
{
  compared_ns_ = monotonic_ns();
  const proc::ProcFs procfs(procfs_);
  const auto tgids = procfs.processes();
  if (!tgids)
    return;
  std::unordered_set<std::uint32_t> alive;
  for (const auto tgid : *tgids) {
    const auto stat = procfs.stat(tgid);
    if (!stat || stat->dead() || stat->kernel_thread())
      continue;
    alive.insert(tgid);
    const auto known = processes_.find(tgid);
    const auto executable = open_executable(procfs_, tgid);
    if (!executable ||
        (known != processes_.end() && known->second.start_ticks == stat->start_ticks &&
         known->second.executable == executable->key))
      continue;
    run({tgid, stat->start_ticks}, *executable);
  }
  for (auto entry = processes_.begin(); entry != processes_.end();) {
    if (alive.contains(entry->first)) {
      ++entry;
      continue;
    }
    leave(entry->first, entry->second);
    entry = processes_.erase(entry);
  }
}

bool LiveExecutables::wants_libraries() const
{
  return std::ranges::any_of(members_,
                             [](const auto& member) { return member->user->wants_libraries(); });
}

void LiveExecutables::look_later(const ProcessId& process, std::size_t step)
{
  looks_.push_back({monotonic_ns() + kLooks.at(step), process, step});
  if (looks_.size() == 1 || looks_.back().due_ns < looks_due_ns_)
    arm_look();
}

void LiveExecutables::arm_look()
{
  looks_due_ns_ = std::ranges::min(looks_, {}, &Look::due_ns).due_ns;
  const auto now = monotonic_ns();
  look_.arm_once(std::chrono::nanoseconds(looks_due_ns_ > now ? looks_due_ns_ - now : 1));
}

// Those processes whose libraries may have been loaded by now.
void LiveExecutables::look()
{
  const auto now = monotonic_ns();
  std::vector<ProcessId> due;
  std::vector<Look> later;
  for (const auto& look : std::exchange(looks_, {})) {
    const auto known = processes_.find(look.process.tgid);
    if (known == processes_.end() || known->second.start_ticks != look.process.start_ticks)
      continue;
    if (look.due_ns > now) {
      later.push_back(look);
      continue;
    }
    due.push_back(look.process);
    if (look.step + 1 < kLooks.size())
      later.push_back({now + kLooks.at(look.step + 1), look.process, look.step + 1});
  }
  looks_ = std::move(later);
  if (!looks_.empty())
    arm_look();
  if (!due.empty())
    look_into(std::move(due));
}

void LiveExecutables::look_into(std::vector<ProcessId> processes)
{
  worker_.post([this, processes = std::move(processes), members = members_] {
    const auto wants = [&](std::string_view name) {
      return std::ranges::any_of(members, [&](const auto& member) {
        return member->user != nullptr && member->user->wants_library(name);
      });
    };
    for (const auto& process : processes) {
      const std::shared_lock lock(gate_);
      if (auto libraries = open_libraries(procfs_, process.tgid, wants); !libraries.empty())
        post([this, process, libraries = std::move(libraries)] { found(process, libraries); });
    }
  });
}

void LiveExecutables::found(const ProcessId& process, const std::vector<OpenFile>& libraries)
{
  const auto known = processes_.find(process.tgid);
  if (known == processes_.end() || known->second.start_ticks != process.start_ticks)
    return;
  for (const auto& library : libraries)
    if (std::ranges::find(known->second.files, library.key) == known->second.files.end())
      use_file(process, library, true);
}

std::vector<Executables::Explained> LiveExecutables::explain(std::uint32_t tgid) const
{
  std::vector<Explained> out;
  const auto known = processes_.find(tgid);
  if (known == processes_.end())
    return out;
  for (const auto& key : known->second.files) {
    const auto file = files_.find(key);
    if (file == files_.end())
      continue;
    for (const auto& use : file->second.uses) {
      Explained one{.family = use.member->user->name(),
                    .file = file->second.about.path,
                    .library = file->second.about.library};
      switch (use.state) {
      case State::kAttached:
        one.sites = use.plan->sites.size();
        one.text = use.plan->note;
        break;
      case State::kRefused:
      case State::kResting:
        if (use.refusal.reason.empty())
          continue;
        one.reason = use.refusal.reason;
        one.text = use.refusal.text;
        break;
      default:
        one.reason = use.paused ? "paused" : "under_way";
        one.text = use.paused ? use.why_paused : "is being attached or detached";
      }
      out.push_back(std::move(one));
    }
  }
  return out;
}

}  // namespace sonde
