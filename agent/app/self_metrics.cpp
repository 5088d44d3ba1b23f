// SPDX-License-Identifier: Apache-2.0
#include "agent/app/self_metrics.hpp"

#include <array>
#include <dirent.h>
#include <fmt/format.h>
#include <map>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "agent/app/version.hpp"
#include "agent/base/clock.hpp"
#include "agent/base/file.hpp"
#include "agent/base/text.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/metrics/labels.hpp"

namespace sonde::app {

namespace {

using metrics::label_block;
using metrics::Type;

enum Index : std::size_t {
  kBuildInfo,
  kProbeUp,
  kEvents,
  kEventsLost,
  kBpfRuns,
  kBpfSeconds,
  kBpfMisses,
  kBpfMapBytes,
  kUprobedFiles,
  kUprobes,
  kUprobesDetached,
  kUninstrumented,
  kSeries,
  kFolded,
  kReloadSuccessful,
  kReloadTime,
  kProcessCpu,
  kProcessMaxFds,
  kProcessOpenFds,
  kProcessRss,
  kProcessStart,
  kProcessVirtual,
  kProcessVirtualMax,
};

constexpr metrics::Desc kMetrics[] = {
    {"sonde_build_info",
     Type::kGauge,
     "1, labelled by the version and revision this agent was built from.",
     "version revision"},
    {"sonde_probe_up",
     Type::kGauge,
     "1 when the hook is attached; why not is on the landing page and in sonde check.",
     "probe hook"},
    {"sonde_events_total", Type::kCounter, "Events a source has counted or handled.", "source"},
    {"sonde_events_lost_total",
     Type::kCounter,
     "Events a source knows it could not count or attribute, by reason.",
     "source reason"},
    {"sonde_bpf_runs_total",
     Type::kCounter,
     "Runs of a BPF program; moves only while kernel.bpf_stats_enabled is 1.",
     "program"},
    {"sonde_bpf_run_seconds_total",
     Type::kCounter,
     "Time spent in a BPF program; moves only while kernel.bpf_stats_enabled is 1.",
     "program"},
    {"sonde_bpf_recursion_misses_total",
     Type::kCounter,
     "Runs the kernel left out because the program was already running on that CPU.",
     "program"},
    {"sonde_bpf_map_bytes", Type::kGauge, "Memory of all BPF maps, as the kernel charges it."},
    {"sonde_uprobed_files",
     Type::kGauge,
     "Programs and libraries in which the probe family has found its places, one for each inode.",
     "probe"},
    {"sonde_uprobes", Type::kGauge, "Uprobes of the probe family in all files.", "probe"},
    {"sonde_uprobes_detached_total",
     Type::kCounter,
     "Files from which the probe family's uprobes were taken off: over_budget (hit more often than "
     "uprobes.max-hits, for a while) or exited (nobody runs the file any more).",
     "probe reason"},
    {"sonde_unprobed_processes",
     Type::kGauge,
     "Processes in which a family of uprobes should have probes and has none; `sonde explain` "
     "tells "
     "more.",
     "reason"},
    {"sonde_series", Type::kGauge, "Lines of each family in this scrape.", "family"},
    {"sonde_series_folded_total",
     Type::kCounter,
     "Series that found no room under a cap and went to `other` or were left out.",
     "family"},
    {"sonde_config_last_reload_successful",
     Type::kGauge,
     "1 when the configuration was last read without an error."},
    {"sonde_config_last_reload_success_timestamp_seconds",
     Type::kGauge,
     "When the configuration was last read without an error."},
    {"process_cpu_seconds_total",
     Type::kCounter,
     "Total user and system CPU time spent in seconds."},
    {"process_max_fds", Type::kGauge, "Maximum number of open file descriptors."},
    {"process_open_fds", Type::kGauge, "Number of open file descriptors."},
    {"process_resident_memory_bytes", Type::kGauge, "Resident memory size in bytes."},
    {"process_start_time_seconds",
     Type::kGauge,
     "Start time of the process since unix epoch in seconds."},
    {"process_virtual_memory_bytes", Type::kGauge, "Virtual memory size in bytes."},
    {"process_virtual_memory_max_bytes",
     Type::kGauge,
     "Maximum amount of virtual memory available in bytes."},
};

// When the process started, close enough: this file's first use is the first scrape, so ask procfs.
double start_seconds()
{
  const auto stat = read_file("/proc/self/stat");
  if (!stat)
    return 0;
  std::string_view rest = *stat;
  rest.remove_prefix(std::min(rest.rfind(')') + 1, rest.size()));
  std::string_view field;
  for (int i = 3; i <= 22; ++i)
    field = take_word(rest);
  const auto ticks = parse_number<std::uint64_t>(field);
  const auto since_boot =
      static_cast<double>(ticks.value_or(0)) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return seconds(wall_ns()) - seconds(boottime_ns()) + since_boot;
}

// The folder's size is their number since Linux 6.2 (f1f1f2569901 "proc: report open files as size
// in stat() for /proc/pid/fd"); before that it is 0 and they are counted.
std::uint64_t open_descriptors()
{
  struct stat folder{};
  if (::stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0)
    return static_cast<std::uint64_t>(folder.st_size);
  std::uint64_t count = 0;
  if (DIR* directory = ::opendir("/proc/self/fd"); directory != nullptr) {
    while (const auto* entry = ::readdir(directory))
      count += entry->d_name[0] != '.' ? 1 : 0;
    ::closedir(directory);
    --count;  // the directory's own
  }
  return count;
}

void gauge(metrics::Exposition& out, Index index, double value)
{
  out.begin(kMetrics[index]);
  out.sample({}, value);
}

double limit_of(int resource)
{
  rlimit limit{};
  ::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
  return static_cast<double>(limit.rlim_cur);
}

void write_process(metrics::Exposition& out)
{
  static const double started = start_seconds();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto time = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  gauge(out, kProcessCpu, time(usage.ru_utime) + time(usage.ru_stime));
  gauge(out, kProcessMaxFds, limit_of(RLIMIT_NOFILE));
  gauge(out, kProcessOpenFds, static_cast<double>(open_descriptors()));
  if (const auto statm = read_file("/proc/self/statm")) {
    std::string_view rest = *statm;
    const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
    const auto size = parse_number<std::uint64_t>(take_word(rest)).value_or(0);
    const auto resident = parse_number<std::uint64_t>(take_word(rest)).value_or(0);
    gauge(out, kProcessRss, static_cast<double>(resident) * page);
    gauge(out, kProcessVirtual, static_cast<double>(size) * page);
  }
  gauge(out, kProcessVirtualMax, limit_of(RLIMIT_AS));
  gauge(out, kProcessStart, started);
}

// Asks the kernel about every program and map: dearer than all else here.
void write_programs(metrics::Exposition& out, const Hooks& hooks, std::uint64_t shared_map_bytes)
{
  struct Cost {
    std::string labels;
    std::uint64_t runs, ns, misses;
  };
  std::vector<Cost> costs;
  for (const auto& program : hooks.programs()) {
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(program.fd, &info, &size) == 0)
      costs.push_back({label_block({{"program", program.name}}),
                       info.run_cnt,
                       info.run_time_ns,
                       info.recursion_misses});
  }
  out.begin(kMetrics[kBpfRuns]);
  for (const auto& cost : costs)
    out.sample({cost.labels}, cost.runs);
  out.begin(kMetrics[kBpfSeconds]);
  for (const auto& cost : costs)
    out.sample({cost.labels}, seconds(cost.ns));
  out.begin(kMetrics[kBpfMisses]);
  for (const auto& cost : costs)
    out.sample({cost.labels}, cost.misses);
  auto bytes = shared_map_bytes;
  for (const auto& map : hooks.maps())
    bytes += map.bytes > 0 ? map.bytes : bpf::charged_bytes(map.fd);
  gauge(out, kBpfMapBytes, static_cast<double>(bytes));
}

void write_uprobes(metrics::Exposition& out, const SelfState& state)
{
  const auto& counts = state.uprobes;
  out.begin(kMetrics[kUprobedFiles]);
  for (const auto& count : counts)
    out.sample({label_block({{"probe", count.family}})}, count.files);
  out.begin(kMetrics[kUprobes]);
  for (const auto& count : counts)
    out.sample({label_block({{"probe", count.family}})}, count.sites);
  out.begin(kMetrics[kUprobesDetached]);
  for (const auto& count : counts) {
    out.sample({label_block({{"probe", count.family}, {"reason", "over_budget"}})},
               count.over_budget);
    out.sample({label_block({{"probe", count.family}, {"reason", "exited"}})}, count.exited);
  }
  out.begin(kMetrics[kUninstrumented]);
  for (const auto& [reason, processes] : state.uninstrumented)
    out.sample({label_block({{"reason", reason}})}, processes);
}

void write_probes(metrics::Exposition& out, const Hooks& hooks, const SelfState& state)
{
  out.begin(kMetrics[kProbeUp]);
  for (const auto& hook : hooks.all())
    out.sample({label_block({{"probe", hook.probe}, {"hook", hook.hook}})}, hook.up ? 1.0 : 0.0);
  out.begin(kMetrics[kEvents]);
  for (const auto& source : state.sources)
    out.sample({label_block({{"source", source.name}})}, source.events);
  out.begin(kMetrics[kEventsLost]);
  for (const auto& source : state.sources)
    for (const auto& loss : source.losses)
      out.sample({label_block({{"source", source.name}, {"reason", loss.reason}})}, loss.count);
  write_programs(out, hooks, state.shared_map_bytes);
  write_uprobes(out, state);
}

void write_series(metrics::Exposition& out, const SelfState& state)
{
  const auto families = out.families();
  out.begin(kMetrics[kSeries]);
  std::string block;
  for (const auto& family : families) {
    block.assign("family=\"").append(family.name).append("\"");
    out.sample({block}, std::uint64_t{family.lines});
  }
  out.begin(kMetrics[kFolded]);
  if (state.hooks != nullptr)
    out.sample({R"(family="services")"}, state.services_folded);
  for (const auto& [family, lines] : state.folded)
    out.sample({label_block({{"family", family}})}, lines);
}

}  // namespace

std::span<const metrics::Desc> self_metrics()
{
  return kMetrics;
}

void write_self_metrics(metrics::Exposition& out, const SelfState& state)
{
  out.begin(kMetrics[kBuildInfo]);
  out.sample({label_block({{"version", version()}, {"revision", revision()}})}, 1.0);
  if (state.hooks != nullptr)
    write_probes(out, *state.hooks, state);
  gauge(out, kReloadSuccessful, state.last_reload_successful ? 1 : 0);
  gauge(out, kReloadTime, state.last_reload_seconds);
  write_process(out);
  write_series(out, state);
}

}  // namespace sonde::app
