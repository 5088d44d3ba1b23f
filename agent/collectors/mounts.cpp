// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/mounts.hpp"

#include <algorithm>

#include "agent/collectors/lines.hpp"

namespace sonde {

namespace {

bool has_option(std::string_view options, std::string_view wanted)
{
  while (!options.empty())
    if (take_until(options, ',') == wanted)
      return true;
  return false;
}

// "36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue"; the blanks
// in its fields are escaped, but a device may be empty.
Result<Mount> parse_mount(const Lines& lines)
{
  const auto fields = split(lines.line(), ' ');
  const auto separator = std::ranges::find(fields, "-");
  if (separator - fields.begin() < 6 || fields.end() - separator < 4)
    return lines.malformed("fields are missing");
  Mount mount;
  auto minor = fields[2];
  const auto major = take_until(minor, ':');
  mount.major = SONDE_TRY(lines.number<std::uint32_t>(major));
  mount.minor = SONDE_TRY(lines.number<std::uint32_t>(minor));
  mount.point = unescape_octal(fields[4]);
  mount.type = separator[1];
  mount.device = separator[2];
  const auto super_options = separator[3];
  mount.readonly = has_option(fields[5], "ro") || has_option(super_options, "ro") ||
                   has_option(super_options, "emergency_ro");
  return mount;
}

// xfs is not among them: it may read a project's quota from the disk.
bool answers_at_once(std::string_view type)
{
  constexpr std::string_view kTypes[] = {"btrfs", "ext2", "ext3", "ext4", "ramfs", "tmpfs", "vfat"};
  return std::ranges::find(kTypes, type) != std::end(kTypes);
}

}  // namespace

std::vector<std::string_view> hanging_points(std::span<const Mount> mounts)
{
  std::vector<std::string_view> points;
  for (const auto& mount : mounts)
    if (!answers_at_once(mount.type))
      points.push_back(mount.point);
  return points;
}

bool leads_to(std::string_view point, std::string_view path)
{
  while (point.ends_with('/'))
    point.remove_suffix(1);
  return path.starts_with(point) && (path.size() == point.size() || path[point.size()] == '/');
}

std::string unescape_octal(std::string_view text)
{
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digits = text.substr(i + 1, 3);
    if (text[i] == '\\' && digits.size() == 3 && digits[0] >= '0' && digits[0] <= '3' &&
        digits[1] >= '0' && digits[1] <= '7' && digits[2] >= '0' && digits[2] <= '7') {
      plain += static_cast<char>((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + digits[2] - '0');
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

Result<std::vector<Mount>> parse_mounts(std::string_view text, const std::filesystem::path& path)
{
  std::vector<Mount> mounts;
  Lines lines(text, path);
  while (lines.next())
    mounts.push_back(SONDE_TRY(parse_mount(lines)));
  return mounts;
}

}  // namespace sonde
