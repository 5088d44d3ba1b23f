// SPDX-License-Identifier: Apache-2.0
// The lines of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"

namespace sonde {

// Points into the text but for the path.
struct Mount {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::string point;  // with the kernel's octal escapes undone: the bytes of the path
  std::string_view type;
  std::string_view device;
  bool readonly = false;  // the mount, its file system, or the kernel after an error
};

Result<std::vector<Mount>> parse_mounts(std::string_view text, const std::filesystem::path& path);

// The mount points of file systems that are not known to answer from the kernel's own memory: who
// asks for one of them, or for something below it, may wait for a server or a process.
std::vector<std::string_view> hanging_points(std::span<const Mount> mounts);

// Whether `point` is `path` or one of the folders above it.
bool leads_to(std::string_view point, std::string_view path);

// "\040" is a blank; what is no three-digit octal escape stays.
std::string unescape_octal(std::string_view text);

}  // namespace sonde
