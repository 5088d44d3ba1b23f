// SPDX-License-Identifier: Apache-2.0
#include "agent/proc/procfs.hpp"

#include <array>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/file.hpp"
#include "agent/base/text.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde::proc {

namespace {

constexpr std::string_view kListen = "0A";
constexpr std::size_t kMaxEnvironment = std::size_t{1} << 20;

// A file below `root` with the process's own root as "/", so that its absolute links do not lead
// into the agent's file system.
UniqueFd open_in_root(int root, const char* path)
{
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how)));
}

std::string read_link(const std::filesystem::path& path)
{
  std::array<char, 4096> target{};
  const auto size = ::readlink(path.c_str(), target.data(), target.size());
  return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

}  // namespace

std::optional<Stat> parse_stat(std::string_view text)
{
  // The name may hold blanks and parentheses: it ends at the last one.
  const auto open = text.find('(');
  const auto close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return std::nullopt;
  Stat stat;
  stat.comm = text.substr(open + 1, close - open - 1);
  auto rest = text.substr(close + 1);
  std::array<std::string_view, 20> fields;  // of proc(5) from 3 on
  for (auto& field : fields)
    field = take_word(rest);
  const auto parent = parse_number<std::uint32_t>(fields[1]);
  const auto flags = parse_number<std::uint32_t>(fields[6]);
  const auto threads = parse_number<std::int64_t>(fields[17]);
  const auto start = parse_number<std::uint64_t>(fields[19]);
  if (fields[0].size() != 1 || !parent || !flags || !threads || !start)
    return std::nullopt;
  stat.state = fields[0].front();
  stat.parent = *parent;
  stat.flags = *flags;
  stat.threads = *threads;
  stat.start_ticks = *start;
  return stat;
}

std::vector<std::string_view> split_arguments(std::string_view text, std::size_t limit)
{
  std::vector<std::string_view> arguments;
  while (!text.empty() && arguments.size() < limit)
    arguments.push_back(take_until(text, '\0'));
  return arguments;
}

std::optional<std::string_view> find_variable(std::string_view environment, std::string_view name)
{
  for (std::size_t at = 0; (at = environment.find(name, at)) != std::string_view::npos;
       at += name.size()) {
    const auto end = at + name.size();
    if ((at > 0 && environment[at - 1] != '\0') || end >= environment.size() ||
        environment[end] != '=')
      continue;
    auto value = environment.substr(end + 1);
    value = value.substr(0, value.find('\0'));
    if (value.empty())
      return std::nullopt;
    return value;
  }
  return std::nullopt;
}

void add_listening(std::string_view text, std::unordered_set<std::uint64_t>& inodes)
{
  take_line(text);  // heading
  while (!text.empty()) {
    auto line = take_line(text);
    std::array<std::string_view, 10> fields;
    for (auto& field : fields)
      field = take_word(line);
    const auto inode = parse_number<std::uint64_t>(fields[9]);
    if (fields[3] == kListen && inode && *inode != 0)
      inodes.insert(*inode);
  }
}

std::optional<std::uint64_t> socket_inode(std::string_view link)
{
  constexpr std::string_view kPrefix = "socket:[";
  if (!link.starts_with(kPrefix) || !link.ends_with(']'))
    return std::nullopt;
  return parse_number<std::uint64_t>(link.substr(kPrefix.size(), link.size() - kPrefix.size() - 1));
}

std::filesystem::path ProcFs::path(std::uint32_t tgid, std::string_view file) const
{
  return root_ / std::to_string(tgid) / file;
}

std::string ProcFs::text(std::uint32_t tgid, std::string_view file) const
{
  return read_file(path(tgid, file), kMaxEnvironment).value_or(std::string());
}

Result<std::vector<std::uint32_t>> ProcFs::processes() const
{
  std::vector<std::uint32_t> tgids;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(root_, error), end; !error && entry != end;
       entry.increment(error))
    if (const auto tgid = parse_number<std::uint32_t>(entry->path().filename().native()))
      tgids.push_back(*tgid);
  if (error)
    return fail(error.value(), "list " + root_.native());
  return tgids;
}

std::optional<Stat> ProcFs::stat(std::uint32_t tgid) const
{
  return parse_stat(text(tgid, "stat"));
}

std::string ProcFs::executable(std::uint32_t tgid) const
{
  constexpr std::string_view kDeleted = " (deleted)";
  auto target = read_link(path(tgid, "exe"));
  if (target.ends_with(kDeleted))
    target.resize(target.size() - kDeleted.size());
  return target;
}

bool ProcFs::is_executable(std::uint32_t tgid, const std::string& file) const
{
  const UniqueFd root(::open(path(tgid, "root").c_str(), O_PATH | O_CLOEXEC | O_DIRECTORY));
  if (!root)
    return false;
  const auto candidate = open_in_root(root.get(), file.c_str());
  struct stat wanted{};
  struct stat executed{};
  return candidate && ::fstat(candidate.get(), &wanted) == 0 &&
         ::stat(path(tgid, "exe").c_str(), &executed) == 0 && wanted.st_dev == executed.st_dev &&
         wanted.st_ino == executed.st_ino;
}

std::unordered_set<std::uint64_t> ProcFs::listening(const std::vector<std::uint32_t>& tgids) const
{
  std::unordered_set<std::uint64_t> inodes;
  std::set<std::string> namespaces;
  for (const auto tgid : tgids) {
    auto name = read_link(path(tgid, "ns/net"));
    if (name.empty() || !namespaces.insert(std::move(name)).second)
      continue;
    for (const auto* file : {"net/tcp", "net/tcp6"})
      if (const auto text = read_file(path(tgid, file), std::size_t{64} << 20))
        add_listening(*text, inodes);
  }
  return inodes;
}

bool ProcFs::has_socket(std::uint32_t tgid, const std::unordered_set<std::uint64_t>& inodes) const
{
  std::error_code error;
  for (std::filesystem::directory_iterator entry(path(tgid, "fd"), error), end;
       !error && entry != end;
       entry.increment(error)) {
    const auto inode = socket_inode(read_link(entry->path()));
    if (inode && inodes.contains(*inode))
      return true;
  }
  return false;
}

}  // namespace sonde::proc
