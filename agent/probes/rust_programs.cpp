// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/rust_programs.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "agent/base/clock.hpp"
#include "agent/metrics/labels.hpp"
#include "agent/proc/procfs.hpp"

namespace sonde::rust {

namespace {

// Of one service: what each costs a scrape is some files of /proc.
constexpr std::size_t kMostProcesses = 32;

}  // namespace

RustPrograms::RustPrograms(Services& services, std::filesystem::path procfs)
    : services_(services), procfs_(std::move(procfs)), since_ticks_(boottime_ns() / proc::kTickNs)
{
}

void RustPrograms::add_rust(const ProcessId& process, const std::string& rustc)
{
  const std::scoped_lock lock(mutex_);
  programs_.insert_or_assign(
      process.tgid,
      Program{process.start_ticks,
              false,
              metrics::label_block({{"pid", fmt::to_string(process.tgid)}, {"rustc", rustc}}),
              std::make_unique<TokioWorkers>(procfs_, process, since_ticks_)});
}

void RustPrograms::add_go(const ProcessId& process)
{
  const std::scoped_lock lock(mutex_);
  programs_.insert_or_assign(process.tgid, Program{process.start_ticks, true, {}, nullptr});
}

void RustPrograms::remove(const ProcessId& process)
{
  const std::scoped_lock lock(mutex_);
  if (const auto found = programs_.find(process.tgid);
      found != programs_.end() && found->second.start_ticks == process.start_ticks)
    programs_.erase(found);
}

RustPrograms::Service& RustPrograms::service_of(std::uint16_t slot, const ServiceTable& table)
{
  auto& total = totals_.at(slot);
  const auto service = std::ranges::find(table, slot, &sonde::Service::slot);
  if (service != table.end() && service->generation != total.generation)
    total = {.generation = service->generation};
  return total;
}

RustPrograms::Reading RustPrograms::read()
{
  const std::scoped_lock lock(mutex_);
  const auto table = services_.table();
  const auto now = boottime_ns();
  Reading reading;
  std::array<std::size_t, SONDE_SLOTS> processes{};
  for (auto& [tgid, program] : programs_) {
    const auto slot = services_.slot_of(tgid);
    auto& service = service_of(slot, *table);
    (program.go ? service.go : service.rust) = true;
    if (program.go || ++processes.at(slot) > kMostProcesses)
      continue;
    reading.processes.push_back({slot, program.labels});
    const auto time = program.workers->advance(now);
    service.tokio = service.tokio || time.workers > 0;
    service.busy_ns += time.busy_ns;
    service.park_ns += time.park_ns;
  }
  reading.services = totals_;
  return reading;
}

}  // namespace sonde::rust
