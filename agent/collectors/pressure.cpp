// SPDX-License-Identifier: Apache-2.0
// node_pressure_*: pressure stall information from /proc/pressure/{cpu,io,memory,irq}.
#include <array>
#include <optional>

#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/lines.hpp"

namespace sonde::collectors_pressure {

namespace {

constexpr metrics::Desc kMetrics[] = {
    {"node_pressure_cpu_waiting_seconds_total",
     metrics::Type::kCounter,
     "Total time in seconds that processes have waited for CPU time"},
    {"node_pressure_io_waiting_seconds_total",
     metrics::Type::kCounter,
     "Total time in seconds that processes have waited due to IO congestion"},
    {"node_pressure_io_stalled_seconds_total",
     metrics::Type::kCounter,
     "Total time in seconds no process could make progress due to IO congestion"},
    {"node_pressure_memory_waiting_seconds_total",
     metrics::Type::kCounter,
     "Total time in seconds that processes have waited for memory"},
    {"node_pressure_memory_stalled_seconds_total",
     metrics::Type::kCounter,
     "Total time in seconds no process could make progress due to memory congestion"},
    {"node_pressure_irq_stalled_seconds_total",
     metrics::Type::kCounter,
     "Total time in seconds no process could make progress due to IRQ congestion"},
};

// What a resource's "some" and "full" lines are exposed as; null: not exposed, the kernel may lack
// the line.
struct Resource {
  std::string_view name;
  const metrics::Desc* waiting;
  const metrics::Desc* stalled;
};

constexpr std::array<Resource, 4> kResources = {{
    {"cpu", &kMetrics[0], nullptr},
    {"io", &kMetrics[1], &kMetrics[2]},
    {"memory", &kMetrics[3], &kMetrics[4]},
    {"irq", nullptr, &kMetrics[5]},
}};

struct Totals {
  std::optional<std::uint64_t> some_us;
  std::optional<std::uint64_t> full_us;
};

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=3217"
Result<Totals> parse(std::string_view text, const std::filesystem::path& path)
{
  Totals totals;
  Lines lines(text, path);
  while (lines.next()) {
    const auto kind = lines.word();
    if (kind != "some" && kind != "full")
      continue;
    constexpr std::string_view kTotal = "total=";
    auto word = lines.word();
    while (!word.empty() && !word.starts_with(kTotal))
      word = lines.word();
    if (word.empty())
      return lines.malformed("total= is missing");
    (kind == "some" ? totals.some_us : totals.full_us) =
        SONDE_TRY(lines.number<std::uint64_t>(word.substr(kTotal.size())));
  }
  return totals;
}

class Pressure : public Collector {
public:
  explicit Pressure(const Paths& paths)
  {
    for (const auto& resource : kResources)
      files_.emplace_back(paths.proc("pressure") / resource.name, ReusedFile::End::kAtShortRead);
  }

  Result<> collect(Families& out) override
  {
    bool found = false;
    for (std::size_t i = 0; i < kResources.size(); ++i)
      found = SONDE_TRY(collect(out, kResources[i], files_[i])) || found;
    if (!found)
      return fail(ENODATA, "pressure stall information needs Linux 4.20 and CONFIG_PSI");
    return {};
  }

private:
  // Whether the kernel has the resource: irq came with 6.1.
  static Result<bool> collect(Families& out, const Resource& resource, ReusedFile& file)
  {
    const auto text = file.read();
    if (!text) {
      if (text.error().code() == std::errc::no_such_file_or_directory)
        return false;
      if (text.error().code() == std::errc::operation_not_supported)
        return fail(ENODATA, "pressure stall information is off: boot with psi=1");
      return Failure(text.error());
    }
    const auto totals = SONDE_TRY(parse(*text, file.path()));
    if ((resource.waiting && !totals.some_us) || (resource.stalled && !totals.full_us))
      return fail(ENODATA, file.path().string() + " lacks a line");
    // Two divisions, as node_exporter does: the last digit is the same.
    if (resource.waiting)
      out.add(*resource.waiting).sample({}, static_cast<double>(*totals.some_us) / 1000.0 / 1000.0);
    if (resource.stalled)
      out.add(*resource.stalled).sample({}, static_cast<double>(*totals.full_us) / 1000.0 / 1000.0);
    return true;
  }

  std::vector<ReusedFile> files_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "pressure",
    .enabled = true,
    .create = [](const Paths& paths, const Settings&, Sources&)
        -> Result<std::unique_ptr<Collector>> { return std::make_unique<Pressure>(paths); },
    .metrics = kMetrics,
};

}  // namespace sonde::collectors_pressure
