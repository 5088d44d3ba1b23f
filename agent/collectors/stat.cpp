// SPDX-License-Identifier: Apache-2.0
// Interrupts, context switches, forks, boot time and running processes from /proc/stat.
#include <array>

#include "agent/collectors/collector.hpp"
#include "agent/collectors/lines.hpp"
#include "agent/collectors/sources.hpp"

namespace sonde::collectors_stat {

namespace {

constexpr metrics::Desc kMetrics[] = {
    {"node_intr_total", metrics::Type::kCounter, "Total number of interrupts serviced."},
    {"node_context_switches_total", metrics::Type::kCounter, "Total number of context switches."},
    {"node_forks_total", metrics::Type::kCounter, "Total number of forks."},
    {"node_boot_time_seconds", metrics::Type::kGauge, "Node boot time, in unixtime."},
    {"node_procs_running", metrics::Type::kGauge, "Number of processes in runnable state."},
    {"node_procs_blocked",
     metrics::Type::kGauge,
     "Number of processes blocked waiting for I/O to complete."},
    {"node_softirqs_total", metrics::Type::kCounter, "Number of softirq calls.", "vector"},
};
constexpr const metrics::Desc& kSoftirqs = kMetrics[6];

// The lines behind the families, in their order.
constexpr std::array<std::string_view, 6> kKeys = {
    "intr", "ctxt", "processes", "btime", "procs_running", "procs_blocked"};

constexpr std::array<std::string_view, 10> kVectors = {"hi",
                                                       "timer",
                                                       "net_tx",
                                                       "net_rx",
                                                       "block",
                                                       "block_iopoll",
                                                       "tasklet",
                                                       "sched",
                                                       "hrtimer",
                                                       "rcu"};

constexpr std::string_view kSoftirq = "collector.stat.softirq";
constexpr Setting kSettings[] = {
    {kSoftirq, SettingKind::kBool, "false", "Export softirq calls per vector"},
};

struct Counts {
  std::array<std::uint64_t, kKeys.size()> values{};
  std::array<std::uint64_t, kVectors.size()> softirqs{};
};

Result<Counts> parse(std::string_view text, const std::filesystem::path& path)
{
  Counts counts;
  Lines lines(text, path);
  while (lines.next()) {
    const auto key = lines.word();
    for (std::size_t i = 0; i < kKeys.size(); ++i)
      if (key == kKeys[i])
        counts.values[i] = SONDE_TRY(lines.number<std::uint64_t>());
    if (key == "softirq") {
      SONDE_TRY(lines.number<std::uint64_t>());  // of all vectors
      for (auto& count : counts.softirqs)
        count = SONDE_TRY(lines.number<std::uint64_t>());
    }
  }
  return counts;
}

class Stat : public Collector {
public:
  Stat(const Settings& settings, Sources& sources)
      : sources_(sources), softirq_(settings.flag(kSoftirq))
  {
  }

  Result<> collect(Families& out) override
  {
    const auto text = SONDE_TRY(sources_.stat());
    const auto counts = SONDE_TRY(parse(text, sources_.stat_path()));
    for (std::size_t i = 0; i < kKeys.size(); ++i)
      out.add(kMetrics[i]).sample({}, static_cast<double>(counts.values[i]));
    if (softirq_) {
      auto family = out.add(kSoftirqs);
      for (std::size_t i = 0; i < kVectors.size(); ++i)
        family.sample({{"vector", kVectors[i]}}, static_cast<double>(counts.softirqs[i]));
    }
    return {};
  }

private:
  Sources& sources_;
  bool softirq_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "stat",
    .enabled = true,
    .create = [](const Paths&, const Settings& settings, Sources& sources)
        -> Result<std::unique_ptr<Collector>> { return std::make_unique<Stat>(settings, sources); },
    .metrics = kMetrics,
    .settings = kSettings,
};

}  // namespace sonde::collectors_stat
