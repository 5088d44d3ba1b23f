// SPDX-License-Identifier: Apache-2.0
// Reads what /proc says of processes, below an injected root. A process may vanish between any two
// reads: everything it had is then empty. Keeps nothing open; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "agent/base/result.hpp"

namespace sonde::proc {

// Field 22 of /proc/PID/stat counts these; the same number for every architecture.
inline constexpr std::uint64_t kTickNs = 10'000'000;

struct Stat {
  std::string comm;
  char state = '?';
  std::uint32_t parent = 0;
  std::uint32_t flags = 0;
  std::int64_t threads = 0;
  std::uint64_t start_ticks = 0;

  bool kernel_thread() const { return (flags & 0x00200000) != 0; }
  // Exited and not yet waited for; a leader that left its threads behind is not dead.
  bool dead() const { return state == 'X' || (state == 'Z' && threads <= 1); }
};

// Pure readers.
std::optional<Stat> parse_stat(std::string_view text);
// NUL-separated strings, at most `limit`.
std::vector<std::string_view> split_arguments(std::string_view text, std::size_t limit = 64);
// The value of `NAME` in a NUL-separated environment; "" is nothing.
std::optional<std::string_view> find_variable(std::string_view environment, std::string_view name);
// Adds the inodes of listening sockets in /proc/net/tcp or tcp6.
void add_listening(std::string_view text, std::unordered_set<std::uint64_t>& inodes);
// The number in "socket:[123]".
std::optional<std::uint64_t> socket_inode(std::string_view link);

class ProcFs {
public:
  explicit ProcFs(std::filesystem::path root = "/proc") : root_(std::move(root)) {}

  Result<std::vector<std::uint32_t>> processes() const;
  std::optional<Stat> stat(std::uint32_t tgid) const;
  std::string cgroup(std::uint32_t tgid) const { return text(tgid, "cgroup"); }
  std::string arguments(std::uint32_t tgid) const { return text(tgid, "cmdline"); }
  std::string environment(std::uint32_t tgid) const { return text(tgid, "environ"); }
  // The executable's path without " (deleted)"; empty for kernel threads.
  std::string executable(std::uint32_t tgid) const;
  // Whether `path`, as the process sees it, is the file it executes.
  bool is_executable(std::uint32_t tgid, const std::string& path) const;

  // Inodes of the listening TCP sockets of all network namespaces that have a process.
  std::unordered_set<std::uint64_t> listening(const std::vector<std::uint32_t>& tgids) const;
  bool has_socket(std::uint32_t tgid, const std::unordered_set<std::uint64_t>& inodes) const;

private:
  std::string text(std::uint32_t tgid, std::string_view file) const;
  std::filesystem::path path(std::uint32_t tgid, std::string_view file) const;

  std::filesystem::path root_;
};

}  // namespace sonde::proc
