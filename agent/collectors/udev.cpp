// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/udev.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include "agent/base/file.hpp"
#include "agent/base/text.hpp"

namespace sonde {

UdevProperties parse_udev(std::string_view text)
{
  UdevProperties properties;
  while (!text.empty()) {
    auto line = take_line(text);
    if (!line.starts_with("E:") || line.find('=') == std::string_view::npos)
      continue;
    line.remove_prefix(2);
    const auto name = take_until(line, '=');
    properties.insert_or_assign(std::string(name), std::string(line));
  }
  return properties;
}

std::string_view property(const UdevProperties& properties, std::string_view name)
{
  const auto found = properties.find(name);
  return found == properties.end() ? std::string_view() : std::string_view(found->second);
}

const UdevProperties& UdevData::of_block_device(std::uint32_t major, std::uint32_t minor)
{
  auto& entry = entries_[{major, minor}];
  entry.asked = true;
  if (entry.path.empty())
    entry.path = folder_ / fmt::format("b{}:{}", major, minor);
  struct stat status{};
  if (::stat(entry.path.c_str(), &status) != 0) {
    entry.inode = 0;
    entry.properties.clear();
    return entry.properties;
  }
  // udev replaces the file: another inode or another time.
  if (entry.inode == status.st_ino && entry.changed.tv_sec == status.st_mtim.tv_sec &&
      entry.changed.tv_nsec == status.st_mtim.tv_nsec)
    return entry.properties;
  const auto text = read_file(entry.path, std::size_t{1} << 20);
  entry.properties = text ? parse_udev(*text) : UdevProperties();
  entry.inode = text ? status.st_ino : 0;
  entry.changed = status.st_mtim;
  return entry.properties;
}

void UdevData::forget_gone()
{
  std::erase_if(entries_, [](const auto& entry) { return !entry.second.asked; });
  for (auto& [device, entry] : entries_)
    entry.asked = false;
}

}  // namespace sonde
