// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/cpu_info.hpp"

#include "agent/collectors/lines.hpp"

namespace sonde {

namespace {

struct Key {
  std::string_view name;
  std::string_view CpuInfo::* field;
};

constexpr Key kKeys[] = {
    {"vendor", &CpuInfo::vendor},
    {"vendor_id", &CpuInfo::vendor},
    {"cpu family", &CpuInfo::family},
    {"model", &CpuInfo::model},
    {"model name", &CpuInfo::model_name},
    {"stepping", &CpuInfo::stepping},
    {"microcode", &CpuInfo::microcode},
    {"cache size", &CpuInfo::cache_size},
    {"physical id", &CpuInfo::package},
    {"core id", &CpuInfo::core},
    {"flags", &CpuInfo::flags},
    {"Features", &CpuInfo::flags},
    {"bugs", &CpuInfo::bugs},
};

}  // namespace

Result<std::vector<CpuInfo>> parse_cpu_info(std::string_view text,
                                            const std::filesystem::path& path)
{
  std::vector<CpuInfo> cpus;
  Lines lines(text, path);
  while (lines.next()) {
    auto value = lines.line();
    const auto name = trim(take_until(value, ':'));
    value = trim(value);
    if (name == "processor") {
      cpus.emplace_back().processor = SONDE_TRY(lines.number<std::uint32_t>(value));
      continue;
    }
    // Lines of the machine come after the CPUs', or before them.
    if (cpus.empty())
      continue;
    auto& cpu = cpus.back();
    if (name == "cpu MHz")
      cpu.mhz = SONDE_TRY(lines.number<double>(value));
    for (const auto& key : kKeys)
      if (name == key.name)
        cpu.*key.field = value;
  }
  return cpus;
}

}  // namespace sonde
