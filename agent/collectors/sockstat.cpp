// SPDX-License-Identifier: Apache-2.0
// node_sockstat_*: sockets in use from /proc/net/sockstat and sockstat6.
#include <algorithm>
#include <unistd.h>

#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/lines.hpp"

namespace sonde::collectors_sockstat {

namespace {

constexpr metrics::Desc kMetrics[] = {
    {"node_sockstat_sockets_used", metrics::Type::kGauge, "Number of IPv4 sockets in use."},
    {"node_sockstat_<protocol>_<state>",
     metrics::Type::kGauge,
     "Number of <protocol> sockets in state <state>."},
};

constexpr std::string_view kStates[] = {"inuse", "orphan", "tw", "alloc", "mem", "memory"};

void add_state(Families& out, std::string_view protocol, std::string_view state, double value)
{
  out.add({"node_sockstat_", protocol, "_", state},
          metrics::Type::kGauge,
          {"Number of ", protocol, " sockets in state ", state, "."})
      .sample({}, value);
}

class Sockstat : public Collector {
public:
  explicit Sockstat(const Paths& paths)
      : v4_(paths.net("sockstat"), ReusedFile::End::kAtShortRead),
        v6_(paths.net("sockstat6"), ReusedFile::End::kAtShortRead)
  {
  }

  Result<> collect(Families& out) override
  {
    SONDE_TRY(collect(out, v4_));
    return collect(out, v6_);
  }

private:
  // A kernel without the address family has no file.
  Result<> collect(Families& out, ReusedFile& file) const
  {
    const auto text = file.read();
    if (!text && text.error().code() == std::errc::no_such_file_or_directory)
      return {};
    Lines lines(SONDE_TRY(text), file.path());
    while (lines.next()) {
      const auto protocol = lines.word();
      if (protocol.size() < 2 || !protocol.ends_with(':'))
        return lines.malformed("a protocol and a colon are missing");
      SONDE_TRY(add_protocol(out, protocol.substr(0, protocol.size() - 1), lines));
    }
    return {};
  }

  // "TCP: inuse 4 orphan 0 tw 4 alloc 17 mem 1"
  Result<> add_protocol(Families& out, std::string_view protocol, Lines& lines) const
  {
    for (auto state = lines.word(); !state.empty(); state = lines.word()) {
      const auto value = static_cast<double>(SONDE_TRY(lines.number<std::int64_t>()));
      if (protocol == "sockets") {
        if (state == "used")
          out.add(kMetrics[0]).sample({}, value);
        continue;
      }
      if (std::ranges::find(kStates, state) == std::end(kStates))
        continue;
      add_state(out, protocol, state, value);
      if (state == "mem")
        add_state(out, protocol, "mem_bytes", value * page_bytes_);
    }
    return {};
  }

  ReusedFile v4_;
  ReusedFile v6_;
  double page_bytes_ = static_cast<double>(::sysconf(_SC_PAGESIZE));
};

}  // namespace

extern const CollectorInfo info{
    .name = "sockstat",
    .enabled = true,
    .create = [](const Paths& paths, const Settings&, Sources&)
        -> Result<std::unique_ptr<Collector>> { return std::make_unique<Sockstat>(paths); },
    .metrics = kMetrics,
};

}  // namespace sonde::collectors_sockstat
