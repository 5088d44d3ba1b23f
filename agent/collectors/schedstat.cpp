// SPDX-License-Identifier: Apache-2.0
// node_schedstat_*: run and wait times of each CPU from /proc/schedstat.
#include <array>

#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/lines.hpp"

namespace sonde::collectors_schedstat {

namespace {

constexpr metrics::Desc kMetrics[] = {
    {"node_schedstat_running_seconds_total",
     metrics::Type::kCounter,
     "Number of seconds CPU spent running a process.",
     "cpu"},
    {"node_schedstat_waiting_seconds_total",
     metrics::Type::kCounter,
     "Number of seconds spent by processing waiting for this CPU.",
     "cpu"},
    {"node_schedstat_timeslices_total",
     metrics::Type::kCounter,
     "Number of timeslices executed by CPU.",
     "cpu"},
};

// Of the numbers behind "cpu<N>": yields, switches and wake-ups come first.
constexpr std::size_t kSkipped = 6;

class Schedstat : public Collector {
public:
  explicit Schedstat(const Paths& paths) : file_(paths.proc("schedstat")) {}

  Result<> collect(Families& out) override
  {
    const auto text = file_.read();
    if (!text && text.error().code() == std::errc::no_such_file_or_directory)
      return fail(ENODATA, "no /proc/schedstat: the kernel lacks CONFIG_SCHEDSTATS");
    Lines lines(SONDE_TRY(text), file_.path());
    return parse(lines, out.add(kMetrics));
  }

private:
  static Result<> parse(Lines& lines, std::span<const Families::Family> families)
  {
    while (lines.next()) {
      auto name = lines.word();
      if (!name.starts_with("cpu"))
        continue;
      name.remove_prefix(3);
      SONDE_TRY(lines.number<std::uint32_t>(name));
      for (std::size_t i = 0; i < kSkipped; ++i)
        SONDE_TRY(lines.number<std::uint64_t>());
      const auto running_ns = SONDE_TRY(lines.number<std::uint64_t>());
      const auto waiting_ns = SONDE_TRY(lines.number<std::uint64_t>());
      const auto timeslices = SONDE_TRY(lines.number<std::uint64_t>());
      families[0].sample({{"cpu", name}}, static_cast<double>(running_ns) / 1e9);
      families[1].sample({{"cpu", name}}, static_cast<double>(waiting_ns) / 1e9);
      families[2].sample({{"cpu", name}}, static_cast<double>(timeslices));
    }
    return {};
  }

  ReusedFile file_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "schedstat",
    .enabled = true,
    .create = [](const Paths& paths, const Settings&, Sources&)
        -> Result<std::unique_ptr<Collector>> { return std::make_unique<Schedstat>(paths); },
    .metrics = kMetrics,
};

}  // namespace sonde::collectors_schedstat
