// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/cpu_topology.hpp"

#include <algorithm>
#include <set>

#include "agent/base/text.hpp"
#include "agent/collectors/sysfs.hpp"

namespace sonde {

CpuTopology::CpuTopology(const Paths& paths)
    : folder_(paths.sys("devices/system/cpu")),
      present_list_(folder_ / "present", ReusedFile::End::kAtShortRead),
      online_list_(folder_ / "online", ReusedFile::End::kAtShortRead)
{
}

Result<> CpuTopology::refresh()
{
  const auto present = present_list_.read();
  const auto online = online_list_.read();
  std::string lists(present ? *present : "?");
  lists.append(online ? *online : "?");
  if (ever_ && present && online && lists == seen_)
    return {};
  ever_ = false;

  has_online_list_ = online.has_value();
  online_cpus_.clear();
  if (online)
    online_cpus_ = SONDE_TRY(parse_cpu_list(*online, online_list_.path()));
  isolated_.clear();
  const auto isolated_path = folder_ / "isolated";
  const auto isolated = read_file(isolated_path);
  if (isolated)
    isolated_ = SONDE_TRY(parse_cpu_list(*isolated, isolated_path));
  else if (isolated.error().code() != std::errc::no_such_file_or_directory)
    return Failure(isolated.error());

  cpus_.clear();
  for (const auto& name : numbered_entries(folder_, "cpu"))
    cpus_.push_back({parse_number<std::uint32_t>(std::string_view(name).substr(3)).value_or(0),
                     folder_ / name,
                     ReusedFile(folder_ / name / "online", ReusedFile::End::kAtShortRead)});
  std::error_code error;
  can_go_offline_ = !cpus_.empty() && std::filesystem::exists(cpus_.front().online.path(), error);
  find_throttles();
  seen_ = std::move(lists);
  ever_ = true;
  return {};
}

// Siblings share their core's count, cores their package's.
void CpuTopology::find_throttles()
{
  throttles_.clear();
  std::set<std::pair<std::uint64_t, std::uint64_t>> cores;
  std::set<std::uint64_t> packages;
  const auto add = [&](std::uint64_t package, std::string core, std::filesystem::path path) {
    ReusedFile file(std::move(path), ReusedFile::End::kAtShortRead);
    if (!read_number(file))
      return false;
    throttles_.push_back({std::to_string(package), std::move(core), std::move(file)});
    return true;
  };
  for (const auto& cpu : cpus_) {
    const auto package = read_number(cpu.folder / "topology/physical_package_id");
    const auto core = read_number(cpu.folder / "topology/core_id");
    if (!package || !core)
      continue;
    const auto folder = cpu.folder / "thermal_throttle";
    if (!cores.contains({*package, *core}) &&
        add(*package, std::to_string(*core), folder / "core_throttle_count"))
      cores.emplace(*package, *core);
    if (!packages.contains(*package) && add(*package, {}, folder / "package_throttle_count"))
      packages.insert(*package);
  }
}

std::vector<std::pair<std::string, bool>> CpuTopology::online()
{
  std::vector<std::pair<std::string, bool>> states;
  if (!can_go_offline_)
    return states;
  for (auto& cpu : cpus_) {
    // One list instead of a file per CPU.
    const bool online = has_online_list_ ? std::ranges::binary_search(online_cpus_, cpu.number)
                                         : read_number(cpu.online) == 1U;
    states.emplace_back(std::to_string(cpu.number), online);
  }
  return states;
}

std::vector<CpuTopology::Throttled> CpuTopology::throttled()
{
  std::vector<Throttled> counts;
  for (auto& throttle : throttles_)
    if (const auto count = read_number(throttle.file))
      counts.push_back({throttle.package, throttle.core, *count});
  return counts;
}

}  // namespace sonde
