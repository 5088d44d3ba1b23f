// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/cpu_time.hpp"

#include <algorithm>
#include <ctime>

namespace sonde {

namespace {

constexpr int kReadings = 5;

// Makes this thread leave and re-enter a CPU: its switch then stamps the moment in the switch
// program's own clock, which user space cannot read otherwise.
void touch_clock()
{
  const timespec moment{.tv_sec = 0, .tv_nsec = 20'000};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, nullptr);
}

}  // namespace

void CpuTime::read(const std::function<void()>& read_rows,
                   const std::function<std::uint16_t(std::uint32_t)>& slot_of)
{
  struct State {
    std::uint64_t since;
    std::uint64_t tgid;
  };
  const auto states = [this] {
    std::vector<State> all(running_.cpus());
    for (unsigned cpu = 0; cpu < running_.cpus(); ++cpu)
      all[cpu] = {running_.at(cpu, 0).since, running_.at(cpu, 0).tgid};
    return all;
  };
  touch_clock();
  std::vector<State> before;
  std::vector<State> after = states();
  std::size_t moved = 0;
  for (int i = 0; i < kReadings; ++i) {
    before = after;
    read_rows();
    after = states();
    moved = 0;
    for (std::size_t cpu = 0; cpu < after.size(); ++cpu)
      moved += before[cpu].since != after[cpu].since ? 1 : 0;
    if (moved == 0)
      break;
  }
  std::uint64_t now = 0;
  for (const auto& state : before)
    now = std::max(now, state.since);

  const std::scoped_lock lock(mutex_);
  running_ns_.fill(0);
  for (unsigned cpu = 0; cpu < running_.cpus(); ++cpu) {
    const auto& state = after[cpu];
    auto& shown = shown_[cpu];
    // A CPU that switched during the reading runs something for microseconds only.
    if (state.tgid == 0 || state.since == 0 || state.since != before[cpu].since) {
      shown = {};
      continue;
    }
    const auto tgid = static_cast<std::uint32_t>(state.tgid);
    const auto slot = static_cast<std::uint16_t>(slot_of(tgid) % SONDE_SLOTS);
    if (shown.since == state.since && shown.tgid == tgid && shown.slot != slot)
      transfer(shown, slot);
    shown = {.since = state.since,
             .amount = now > state.since ? now - state.since : 0,
             .charged = charged_.at(cpu, slot).cpu_ns,
             .tgid = tgid,
             .slot = slot};
    running_ns_[slot] += static_cast<std::int64_t>(shown.amount);
  }
}

void CpuTime::transfer(Shown& shown, std::uint16_t to)
{
  transferred_ns_[shown.slot] += static_cast<std::int64_t>(shown.amount);
  transferred_ns_[to] -= static_cast<std::int64_t>(shown.amount);
  shown.slot = to;
}

void CpuTime::process_moved(std::uint32_t tgid, std::uint16_t from, std::uint16_t to)
{
  const std::scoped_lock lock(mutex_);
  for (unsigned cpu = 0; cpu < running_.cpus(); ++cpu) {
    auto& shown = shown_[cpu];
    if (shown.tgid != tgid || shown.slot != from)
      continue;
    // The interval may have ended a moment ago, between the change of the slot and this call: then
    // the old slot was not charged with it.
    const bool ended = shown.since != running_.at(cpu, 0).since;
    if (!ended || charged_.at(cpu, from).cpu_ns - shown.charged < shown.amount)
      transfer(shown, to);
  }
}

void CpuTime::slot_taken(std::uint16_t slot)
{
  const std::scoped_lock lock(mutex_);
  published_[slot] = {};
  transferred_ns_[slot] = 0;
}

CpuTime::Split CpuTime::split(std::uint16_t slot, const sonde_run_queue_row& row)
{
  const std::scoped_lock lock(mutex_);
  auto& published = published_[slot];
  const auto shown = published.user + published.system;
  const auto exact =
      static_cast<std::int64_t>(row.cpu_ns) + running_ns_[slot] + transferred_ns_[slot];
  const auto total = std::max(static_cast<std::uint64_t>(std::max<std::int64_t>(exact, 0)), shown);
  // As the kernel's cputime_adjust(): sampled ticks give the ratio, the exact sum the amount.
  const auto ticks = row.utime + row.stime;
  const auto system = ticks == 0 ? 0
                                 : static_cast<std::uint64_t>(static_cast<double>(total) *
                                                              (static_cast<double>(row.stime) /
                                                               static_cast<double>(ticks)));
  published.system = std::clamp(system, published.system, total - published.user);
  published.user = total - published.system;
  return {published.user, published.system};
}

std::uint64_t CpuTime::switches() const
{
  std::uint64_t total = 0;
  for (unsigned cpu = 0; cpu < running_.cpus(); ++cpu)
    total += running_.at(cpu, 0).switches;
  return total;
}

}  // namespace sonde
