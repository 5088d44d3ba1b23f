// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/executable_files.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <set>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <system_error>

#include "agent/base/file.hpp"
#include "agent/base/text.hpp"

namespace sonde {

namespace {

constexpr std::string_view kDeleted = " (deleted)";
constexpr std::size_t kMostMaps = std::size_t{16} << 20;

std::uint64_t nanoseconds(const timespec& time)
{
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(time.tv_nsec);
}

std::string_view without_deleted(std::string_view path)
{
  if (path.ends_with(kDeleted))
    path.remove_suffix(kDeleted.size());
  return path;
}

std::optional<OpenFile> open_file(const std::filesystem::path& link, std::string_view path)
{
  // A process may execute what is no file any more, or wait for one: neither may hold the agent up.
  UniqueFd fd(::open(link.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status{};
  struct statfs system{};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      ::fstatfs(fd.get(), &system) != 0)
    return std::nullopt;
  OpenFile out;
  out.state = {.device = status.st_dev,
               .inode = status.st_ino,
               .bytes = static_cast<std::uint64_t>(status.st_size),
               .modified_ns = nanoseconds(status.st_mtim)};
  out.key = out.state;
  if (system.f_type == OVERLAYFS_SUPER_MAGIC)
    out.key.device = 0;
  else
    out.key.bytes = out.key.modified_ns = 0;
  out.path = without_deleted(path);
  out.fd = std::make_shared<const UniqueFd>(std::move(fd));
  return out;
}

std::filesystem::path folder_of(const std::filesystem::path& procfs, std::uint32_t tgid)
{
  return procfs / std::to_string(tgid);
}

}  // namespace

std::optional<OpenFile> open_executable(const std::filesystem::path& procfs, std::uint32_t tgid)
{
  const auto link = folder_of(procfs, tgid) / "exe";
  std::error_code error;
  const auto path = std::filesystem::read_symlink(link, error);
  if (error)
    return std::nullopt;
  return open_file(link, path.native());
}

std::vector<OpenFile>
open_libraries(const std::filesystem::path& procfs, std::uint32_t tgid, const WantsLibrary& wants)
{
  std::vector<OpenFile> out;
  const auto folder = folder_of(procfs, tgid);
  const auto maps = read_file(folder / "maps", kMostMaps);
  if (!maps)
    return out;
  std::set<std::string_view> met;
  for (std::string_view rest = *maps; !rest.empty();) {
    auto line = take_line(rest);
    const auto range = take_word(line);
    const auto mode = take_word(line);
    if (mode.size() < 3 || mode[2] != 'x')
      continue;
    const auto slash = line.find('/');
    if (slash == std::string_view::npos)
      continue;
    const auto path = without_deleted(line.substr(slash));
    if (!wants(path.substr(path.rfind('/') + 1)) || !met.insert(line.substr(slash)).second)
      continue;
    // map_files needs CAP_CHECKPOINT_RESTORE and finds deleted files, too.
    auto file = open_file(folder / "map_files" / range, path);
    if (!file && path.size() == line.size() - slash)
      file = open_file(fmt::format("{}/root{}", folder.native(), path), path);
    if (file)
      out.push_back(*std::move(file));
  }
  return out;
}

std::string path_of(const UniqueFd& fd)
{
  return fmt::format("/proc/self/fd/{}", fd.get());
}

}  // namespace sonde
