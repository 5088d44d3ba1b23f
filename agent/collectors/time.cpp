// SPDX-License-Identifier: Apache-2.0
// node_time_*: the system clock, its time zone and its clock sources.
#include <ctime>
#include <deque>

#include "agent/base/clock.hpp"
#include "agent/base/file.hpp"
#include "agent/base/text.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/sysfs.hpp"

namespace sonde::collectors_time {

namespace {

constexpr metrics::Desc kMetrics[] = {
    {"node_time_seconds", metrics::Type::kGauge, "System time in seconds since epoch (1970)."},
    {"node_time_zone_offset_seconds",
     metrics::Type::kGauge,
     "System time zone offset in seconds.",
     "time_zone"},
    {"node_time_clocksource_available_info",
     metrics::Type::kGauge,
     "Available clocksources read from '/sys/devices/system/clocksource'.",
     "device clocksource"},
    {"node_time_clocksource_current_info",
     metrics::Type::kGauge,
     "Current clocksource read from '/sys/devices/system/clocksource'.",
     "device clocksource"},
};

class Time : public Collector {
public:
  explicit Time(const Paths& paths)
  {
    ::tzset();  // localtime_r() need not
    const auto folder = paths.sys("devices/system/clocksource");
    for (const auto& name : numbered_entries(folder, "clocksource"))
      clocks_.push_back(
          {ReusedFile(folder / name / "available_clocksource", ReusedFile::End::kAtShortRead),
           ReusedFile(folder / name / "current_clocksource", ReusedFile::End::kAtShortRead)});
  }

  Result<> collect(Families& out) override
  {
    const auto now_ns = wall_ns();
    out.add(kMetrics[0]).sample({}, static_cast<double>(now_ns) / 1e9);

    const auto now = static_cast<std::time_t>(now_ns / 1'000'000'000U);
    std::tm local{};
    ::localtime_r(&now, &local);
    out.add(kMetrics[1])
        .sample({{"time_zone", local.tm_zone}}, static_cast<double>(local.tm_gmtoff));
    return collect_clocks(out);
  }

private:
  struct Clock {
    ReusedFile available;
    ReusedFile current;
  };

  Result<> collect_clocks(Families& out)
  {
    if (clocks_.empty())
      return {};
    auto current = out.add(kMetrics[3]);
    auto available = out.add(kMetrics[2]);
    for (std::size_t i = 0; i < clocks_.size(); ++i) {
      const auto device = std::to_string(i);
      auto names = SONDE_TRY(clocks_[i].available.read());
      for (auto name = take_word(names); !name.empty(); name = take_word(names))
        available.sample({{"device", device}, {"clocksource", name}}, 1);
      const auto name = trim(SONDE_TRY(clocks_[i].current.read()));
      current.sample({{"device", device}, {"clocksource", name}}, 1);
    }
    return {};
  }

  std::deque<Clock> clocks_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "time",
    .enabled = true,
    .create = [](const Paths& paths, const Settings&, Sources&)
        -> Result<std::unique_ptr<Collector>> { return std::make_unique<Time>(paths); },
    .metrics = kMetrics,
};

}  // namespace sonde::collectors_time
