// SPDX-License-Identifier: Apache-2.0
// node_cpu_*: seconds of each CPU in each mode from /proc/stat; on request what /proc/cpuinfo
// says; online, isolated and throttled CPUs from sysfs.
#include <array>
#include <map>
#include <optional>
#include <re2/re2.h>

#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/cpu_info.hpp"
#include "agent/collectors/cpu_topology.hpp"
#include "agent/collectors/lines.hpp"
#include "agent/collectors/name_filter.hpp"
#include "agent/collectors/sources.hpp"

namespace sonde::collectors_cpu {

namespace {

using metrics::Type;

constexpr metrics::Desc kSeconds{
    "node_cpu_seconds_total", Type::kCounter, "Seconds the CPUs spent in each mode.", "cpu mode"};
constexpr metrics::Desc kGuest{"node_cpu_guest_seconds_total",
                               Type::kCounter,
                               "Seconds the CPUs spent in guests (VMs) for each mode.",
                               "cpu mode"};
constexpr metrics::Desc kCpuInfo{
    "node_cpu_info",
    Type::kGauge,
    "CPU information from /proc/cpuinfo.",
    "package core cpu vendor family model model_name microcode stepping cachesize"};
constexpr metrics::Desc kFrequency{"node_cpu_frequency_hertz",
                                   Type::kGauge,
                                   "CPU frequency in hertz from /proc/cpuinfo.",
                                   "package core cpu"};
constexpr metrics::Desc kFlags{
    "node_cpu_flag_info",
    Type::kGauge,
    "The `flags` field of CPU information from /proc/cpuinfo taken from the first core.",
    "flag"};
constexpr metrics::Desc kBugs{
    "node_cpu_bug_info",
    Type::kGauge,
    "The `bugs` field of CPU information from /proc/cpuinfo taken from the first core.",
    "bug"};
constexpr metrics::Desc kCoreThrottles{"node_cpu_core_throttles_total",
                                       Type::kCounter,
                                       "Number of times this CPU core has been throttled.",
                                       "package core"};
constexpr metrics::Desc kPackageThrottles{"node_cpu_package_throttles_total",
                                          Type::kCounter,
                                          "Number of times this CPU package has been throttled.",
                                          "package"};
constexpr metrics::Desc kIsolated{
    "node_cpu_isolated",
    Type::kGauge,
    "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.",
    "cpu"};
constexpr metrics::Desc kOnline{
    "node_cpu_online", Type::kGauge, "CPUs that are online and being scheduled.", "cpu"};
constexpr metrics::Desc kMetrics[] = {kSeconds,
                                      kGuest,
                                      kCpuInfo,
                                      kFrequency,
                                      kFlags,
                                      kBugs,
                                      kCoreThrottles,
                                      kPackageThrottles,
                                      kIsolated,
                                      kOnline};

constexpr std::string_view kWantGuest = "collector.cpu.guest";
constexpr std::string_view kWantInfo = "collector.cpu.info";
constexpr std::string_view kFlagsInclude = "collector.cpu.info.flags-include";
constexpr std::string_view kBugsInclude = "collector.cpu.info.bugs-include";
constexpr Setting kSettings[] = {
    {kWantGuest, SettingKind::kBool, "true", "Enables metric node_cpu_guest_seconds_total"},
    {kWantInfo, SettingKind::kBool, "false", "Enables metric cpu_info"},
    {kFlagsInclude,
     SettingKind::kRegex,
     "",
     "Filter the `flags` field in cpuInfo with a value that must be a regular expression"},
    {kBugsInclude,
     SettingKind::kRegex,
     "",
     "Filter the `bugs` field in cpuInfo with a value that must be a regular expression"},
};

// The columns of a cpu line of /proc/stat, in ticks; guest time is part of user and nice.
constexpr std::array<std::string_view, 8> kModes = {
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"};
constexpr std::size_t kIdle = 3;
constexpr std::size_t kGuestUser = kModes.size();
constexpr std::size_t kColumns = kModes.size() + 2;
using Ticks = std::array<std::uint64_t, kColumns>;

constexpr std::uint64_t kTicksPerSecond = 100;  // USER_HZ, the same everywhere
constexpr std::uint64_t kJumpBackTicks = 3 * kTicksPerSecond;

using CpuTicks = std::map<std::uint32_t, Ticks>;

double in_seconds(std::uint64_t ticks)
{
  return static_cast<double>(ticks) / static_cast<double>(kTicksPerSecond);
}

// Old kernels print fewer columns.
Result<CpuTicks> parse_ticks(std::string_view text, const std::filesystem::path& path)
{
  CpuTicks cpus;
  Lines lines(text, path);
  while (lines.next()) {
    const auto name = lines.word();
    if (!name.starts_with("cpu") || name == "cpu")
      continue;
    auto& ticks = cpus[SONDE_TRY(lines.number<std::uint32_t>(name.substr(3)))];
    ticks[0] = SONDE_TRY(lines.number<std::uint64_t>());
    for (std::size_t i = 1; i < kColumns && !trim(lines.rest()).empty(); ++i)
      ticks[i] = SONDE_TRY(lines.number<std::uint64_t>());
  }
  return cpus;
}

// The kernel's idle and iowait may step back a little; a CPU that was off line starts anew.
void take_over(Ticks& shown, const Ticks& now)
{
  if (shown[kIdle] >= now[kIdle] + kJumpBackTicks)
    shown = {};
  for (std::size_t i = 0; i < kColumns; ++i)
    shown[i] = std::max(shown[i], now[i]);
}

class Cpu : public Collector {
public:
  Cpu(const Paths& paths, const Settings& settings, Sources& sources)
      : sources_(sources), topology_(paths), guest_(settings.flag(kWantGuest)),
        cpu_info_(paths.proc("cpuinfo"))
  {
    if (const auto& pattern = settings.text(kFlagsInclude); !pattern.empty())
      flags_.emplace(pattern, RE2::Quiet);
    if (const auto& pattern = settings.text(kBugsInclude); !pattern.empty())
      bugs_.emplace(pattern, RE2::Quiet);
    info_ = settings.flag(kWantInfo) || flags_ || bugs_;
  }

  Result<> collect(Families& out) override
  {
    if (info_)
      SONDE_TRY(add_info(out));
    SONDE_TRY(add_seconds(out));
    return add_topology(out);
  }

private:
  Result<> add_seconds(Families& out)
  {
    const auto text = SONDE_TRY(sources_.stat());
    const auto now = SONDE_TRY(parse_ticks(text, sources_.stat_path()));
    std::erase_if(shown_, [&](const auto& cpu) { return !now.contains(cpu.first); });
    for (const auto& [cpu, ticks] : now)
      take_over(shown_[cpu], ticks);

    auto seconds = out.add(kSeconds);
    for (const auto& [cpu, ticks] : shown_) {
      const auto number = std::to_string(cpu);
      for (std::size_t i = 0; i < kModes.size(); ++i)
        seconds.sample({{"cpu", number}, {"mode", kModes[i]}}, in_seconds(ticks[i]));
    }
    if (!guest_)
      return {};
    auto guest = out.add(kGuest);
    for (const auto& [cpu, ticks] : shown_) {
      const auto number = std::to_string(cpu);
      for (std::size_t i = 0; i < 2; ++i)
        guest.sample({{"cpu", number}, {"mode", kModes[i]}}, in_seconds(ticks[kGuestUser + i]));
    }
    return {};
  }

  Result<> add_info(Families& out)
  {
    const auto text = SONDE_TRY(cpu_info_.read());
    const auto cpus = SONDE_TRY(parse_cpu_info(text, cpu_info_.path()));
    auto info = out.add(kCpuInfo);
    for (const auto& cpu : cpus)
      info.sample({{"package", cpu.package},
                   {"core", cpu.core},
                   {"cpu", std::to_string(cpu.processor)},
                   {"vendor", cpu.vendor},
                   {"family", cpu.family},
                   {"model", cpu.model},
                   {"model_name", cpu.model_name},
                   {"microcode", cpu.microcode},
                   {"stepping", cpu.stepping},
                   {"cachesize", cpu.cache_size}},
                  1);
    auto frequency = out.add(kFrequency);
    for (const auto& cpu : cpus)
      frequency.sample(
          {{"package", cpu.package}, {"core", cpu.core}, {"cpu", std::to_string(cpu.processor)}},
          cpu.mhz * 1e6);
    if (!cpus.empty()) {
      add_words(out, kFlags, cpus[0].flags, flags_);
      add_words(out, kBugs, cpus[0].bugs, bugs_);
    }
    return {};
  }

  static void add_words(Families& out,
                        const metrics::Desc& desc,
                        std::string_view words,
                        const std::optional<RE2>& wanted)
  {
    if (!wanted)
      return;
    auto family = out.add(desc);
    for (auto word = take_word(words); !word.empty(); word = take_word(words))
      if (matches(*wanted, word))
        family.sample({{desc.labels, word}}, 1);
  }

  Result<> add_topology(Families& out)
  {
    SONDE_TRY(topology_.refresh());
    auto isolated = out.add(kIsolated);
    for (const auto cpu : topology_.isolated())
      isolated.sample({{"cpu", std::to_string(cpu)}}, 1);

    const auto throttled = topology_.throttled();
    auto packages = out.add(kPackageThrottles);
    for (const auto& [package, core, count] : throttled)
      if (core.empty())
        packages.sample({{"package", package}}, static_cast<double>(count));
    auto cores = out.add(kCoreThrottles);
    for (const auto& [package, core, count] : throttled)
      if (!core.empty())
        cores.sample({{"package", package}, {"core", core}}, static_cast<double>(count));

    auto online = out.add(kOnline);
    for (const auto& [cpu, is_online] : topology_.online())
      online.sample({{"cpu", cpu}}, is_online ? 1 : 0);
    return {};
  }

  Sources& sources_;
  CpuTopology topology_;
  bool guest_;
  bool info_ = false;
  std::optional<RE2> flags_;
  std::optional<RE2> bugs_;
  ReusedFile cpu_info_;
  CpuTicks shown_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "cpu",
    .enabled = true,
    .create = [](const Paths& paths,
                 const Settings& settings,
                 Sources& sources) -> Result<std::unique_ptr<Collector>> {
      return std::make_unique<Cpu>(paths, settings, sources);
    },
    .metrics = kMetrics,
    .settings = kSettings,
};

}  // namespace sonde::collectors_cpu
