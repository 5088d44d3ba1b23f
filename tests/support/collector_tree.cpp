// SPDX-License-Identifier: Apache-2.0
#include "tests/support/collector_tree.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "agent/base/text.hpp"
#include "agent/metrics/exposition.hpp"

namespace sonde::testing {

CollectorTree::CollectorTree()
{
  auto name = (std::filesystem::temp_directory_path() / "sonde-node-XXXXXX").string();
  if (!::mkdtemp(name.data()))
    std::abort();
  root_ = name;
  for (const auto* folder : {"proc", "sys", "rootfs", "udev"})
    std::filesystem::create_directories(root_ / folder);
}

CollectorTree::~CollectorTree()
{
  std::error_code error;
  std::filesystem::remove_all(root_, error);
}

void CollectorTree::write(std::string_view path, std::string_view text) const
{
  const auto file = root_ / path;
  std::filesystem::create_directories(file.parent_path());
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    std::abort();
}

void CollectorTree::remove(std::string_view path) const
{
  std::filesystem::remove_all(root_ / path);
}

Paths CollectorTree::paths_in(const std::filesystem::path& root)
{
  return {.procfs = root / "proc",
          .sysfs = root / "sys",
          .rootfs = root / "rootfs",
          .udev_data = root / "udev"};
}

Settings collector_settings(GivenSettings given)
{
  std::deque<std::string> keys;
  std::vector<Setting> switches;
  std::vector<std::span<const Setting>> tables;
  for (const auto* info : collectors()) {
    keys.push_back("collector." + std::string(info->name));
    switches.push_back(
        {keys.back(), SettingKind::kBool, info->enabled ? "true" : "false", "a switch"});
    tables.push_back(info->settings);
  }
  tables.emplace_back(switches);
  auto settings = Settings::defaults(tables);
  if (!settings)
    ADD_FAILURE() << settings.error().message();
  for (const auto& [key, text] : given)
    for (const auto table : tables)
      for (const auto& setting : table)
        if (setting.key == key)
          settings->set(setting, parse_setting(setting, text).value(), true);
  return *std::move(settings);
}

std::unique_ptr<NodeCollectors>
one_collector(std::string_view name, const Paths& paths, GivenSettings given)
{
  const auto all = collectors();
  const auto info = std::ranges::find(all, name, &CollectorInfo::name);
  auto made = NodeCollectors::create(paths, collector_settings(given), std::span(&*info, 1));
  if (!made) {
    ADD_FAILURE() << made.error().message();
    std::abort();
  }
  return *std::move(made);
}

std::string scrape(NodeCollectors& collectors, const CollectorFilter& filter)
{
  Families families;
  collectors.collect(families, filter);
  metrics::Exposition exposition;
  families.write(exposition);
  const auto body = exposition.body();
  std::string text;
  std::string_view rest = body;
  while (!rest.empty())
    if (const auto line = take_line(rest);
        line.find("node_scrape_collector_duration_seconds") == std::string_view::npos)
      text.append(line).append("\n");
  return text;
}

std::string samples(NodeCollectors& collectors)
{
  const auto text = scrape(collectors);
  std::string lines;
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto line = take_line(rest);
    if (!line.starts_with('#') && !line.starts_with("node_scrape_"))
      lines.append(line).append("\n");
  }
  return lines;
}

std::string error_of(std::string_view collector, const Paths& paths, GivenSettings given)
{
  const auto all = collectors();
  const auto info = std::ranges::find(all, collector, &CollectorInfo::name);
  Sources sources(paths);
  auto made = (*info)->create(paths, collector_settings(given), sources);
  if (!made)
    return made.error().message();
  Families families;
  const auto result = (*made)->collect(families);
  return result ? "" : result.error().message();
}

}  // namespace sonde::testing
