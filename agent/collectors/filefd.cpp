// SPDX-License-Identifier: Apache-2.0
// node_filefd_allocated and node_filefd_maximum from /proc/sys/fs/file-nr.
#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/lines.hpp"

namespace sonde::collectors_filefd {

namespace {

constexpr metrics::Desc kMetrics[] = {
    {"node_filefd_allocated", metrics::Type::kGauge, "File descriptor statistics: allocated."},
    {"node_filefd_maximum", metrics::Type::kGauge, "File descriptor statistics: maximum."},
};

class Filefd : public Collector {
public:
  explicit Filefd(const Paths& paths)
      : file_(paths.proc("sys/fs/file-nr"), ReusedFile::End::kAtShortRead)
  {
  }

  Result<> collect(Families& out) override
  {
    Lines lines(SONDE_TRY(file_.read()), file_.path());
    lines.next();
    const auto allocated = SONDE_TRY(lines.number<double>());
    SONDE_TRY(lines.number<double>());  // free ones: always 0 since Linux 2.6
    const auto maximum = SONDE_TRY(lines.number<double>());
    out.add(kMetrics[0]).sample({}, allocated);
    out.add(kMetrics[1]).sample({}, maximum);
    return {};
  }

private:
  ReusedFile file_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "filefd",
    .enabled = true,
    .create = [](const Paths& paths, const Settings&, Sources&)
        -> Result<std::unique_ptr<Collector>> { return std::make_unique<Filefd>(paths); },
    .metrics = kMetrics,
};

}  // namespace sonde::collectors_filefd
