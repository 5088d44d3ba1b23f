// SPDX-License-Identifier: Apache-2.0
// node_load1, node_load5, node_load15 from /proc/loadavg.
#include <array>

#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/lines.hpp"

namespace sonde::collectors_loadavg {

namespace {

constexpr metrics::Desc kMetrics[] = {
    {"node_load1", metrics::Type::kGauge, "1m load average."},
    {"node_load5", metrics::Type::kGauge, "5m load average."},
    {"node_load15", metrics::Type::kGauge, "15m load average."},
};

class Loadavg : public Collector {
public:
  explicit Loadavg(const Paths& paths) : file_(paths.proc("loadavg"), ReusedFile::End::kAtShortRead)
  {
  }

  Result<> collect(Families& out) override
  {
    Lines lines(SONDE_TRY(file_.read()), file_.path());
    lines.next();
    std::array<double, std::size(kMetrics)> loads{};
    for (auto& load : loads)
      load = SONDE_TRY(lines.number<double>());
    for (std::size_t i = 0; i < loads.size(); ++i)
      out.add(kMetrics[i]).sample({}, loads[i]);
    return {};
  }

private:
  ReusedFile file_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "loadavg",
    .enabled = true,
    .create = [](const Paths& paths, const Settings&, Sources&)
        -> Result<std::unique_ptr<Collector>> { return std::make_unique<Loadavg>(paths); },
    .metrics = kMetrics,
};

}  // namespace sonde::collectors_loadavg
