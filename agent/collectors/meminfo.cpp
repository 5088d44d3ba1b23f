// SPDX-License-Identifier: Apache-2.0
// node_memory_*: every line of /proc/meminfo.
#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/lines.hpp"

namespace sonde::collectors_meminfo {

namespace {

constexpr metrics::Desc kMetrics[] = {
    {"node_memory_<field>_bytes", metrics::Type::kGauge, "Memory information field <field>_bytes."},
    {"node_memory_HugePages_<field>",
     metrics::Type::kGauge,
     "Memory information field HugePages_<field>."},
};

// "Active(anon)" becomes "Active_anon".
std::string field_of(std::string_view name)
{
  std::string field;
  field.reserve(name.size() + 8);
  for (const char c : name)
    if (c == '(')
      field += '_';
    else if (c != ')')
      field += c;
  return field;
}

class Meminfo : public Collector {
public:
  explicit Meminfo(const Paths& paths) : file_(paths.proc("meminfo"), ReusedFile::End::kAtShortRead)
  {
  }

  Result<> collect(Families& out) override
  {
    Lines lines(SONDE_TRY(file_.read()), file_.path());
    while (lines.next()) {
      const auto name = lines.word();
      if (name.size() < 2 || !name.ends_with(':'))
        return lines.malformed("a name and a colon are missing");
      auto value = static_cast<double>(SONDE_TRY(lines.number<std::uint64_t>()));
      auto field = field_of(name.substr(0, name.size() - 1));
      if (const auto unit = lines.word(); unit == "kB") {
        value *= 1024;
        field += "_bytes";
      } else if (!unit.empty()) {
        return lines.malformed(fmt::format("unknown unit \"{:.64}\"", unit));
      }
      out.add({"node_memory_", field},
              metrics::Type::kGauge,
              {"Memory information field ", field, "."})
          .sample({}, value);
    }
    return {};
  }

private:
  ReusedFile file_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "meminfo",
    .enabled = true,
    .create = [](const Paths& paths, const Settings&, Sources&)
        -> Result<std::unique_ptr<Collector>> { return std::make_unique<Meminfo>(paths); },
    .metrics = kMetrics,
};

}  // namespace sonde::collectors_meminfo
