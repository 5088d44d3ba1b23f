// SPDX-License-Identifier: Apache-2.0
// node_vmstat_*: the fields of /proc/vmstat that --collector.vmstat.fields names.
#include <re2/re2.h>

#include "agent/base/file.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/collectors/lines.hpp"
#include "agent/collectors/name_filter.hpp"

namespace sonde::collectors_vmstat {

namespace {

constexpr metrics::Desc kMetrics[] = {
    {"node_vmstat_<field>", metrics::Type::kUntyped, "/proc/vmstat information field <field>."},
};

constexpr std::string_view kFields = "collector.vmstat.fields";
constexpr Setting kSettings[] = {
    {kFields,
     SettingKind::kRegex,
     "^(oom_kill|pgpg|pswp|pg.*fault).*",
     "Regexp of fields to return for vmstat collector."},
};

class Vmstat : public Collector {
public:
  Vmstat(const Paths& paths, const Settings& settings)
      : file_(paths.proc("vmstat")), pattern_(settings.text(kFields), RE2::Quiet)
  {
  }

  Result<> collect(Families& out) override
  {
    Lines lines(SONDE_TRY(file_.read()), file_.path());
    while (lines.next()) {
      const auto name = lines.word();
      const auto& field = field_at(lines.line_number() - 1, name);
      if (field.family.empty())
        continue;
      const auto value = SONDE_TRY(lines.number<double>());
      out.add(field.family, metrics::Type::kUntyped, field.help).sample({}, value);
    }
    return {};
  }

private:
  struct Field {
    std::string name;
    std::string family;  // empty: not wanted
    std::string help;
  };

  // The kernel prints the same fields in the same order, so each is matched once, not every scrape.
  const Field& field_at(std::size_t position, std::string_view name)
  {
    if (position >= fields_.size())
      fields_.resize(position + 1);
    auto& field = fields_[position];
    if (field.name == name)
      return field;
    field = {.name = std::string(name), .family = {}, .help = {}};
    if (matches(pattern_, name)) {
      field.family = fmt::format("node_vmstat_{}", name);
      field.help = fmt::format("/proc/vmstat information field {}.", name);
    }
    return field;
  }

  ReusedFile file_;
  RE2 pattern_;
  std::vector<Field> fields_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "vmstat",
    .enabled = true,
    .create = [](const Paths& paths, const Settings& settings, Sources&)
        -> Result<std::unique_ptr<Collector>> { return std::make_unique<Vmstat>(paths, settings); },
    .metrics = kMetrics,
    .settings = kSettings,
};

}  // namespace sonde::collectors_vmstat
