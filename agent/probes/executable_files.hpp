// SPDX-License-Identifier: Apache-2.0
// The files behind a process: its executable and the libraries it has mapped, opened in a way that
// also finds what was deleted, replaced, or lies in a container.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/unique_fd.hpp"
#include "agent/proc/procfs.hpp"

namespace sonde {

struct FileKey {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::uint64_t modified_ns = 0;

  bool operator==(const FileKey&) const = default;
};

struct FileKeyHash {
  std::size_t operator()(const FileKey& key) const
  {
    return key.inode * 0x9e3779b97f4a7c15U ^ key.device ^ key.modified_ns;
  }
};

struct OpenFile {
  std::shared_ptr<const UniqueFd> fd;  // shared by pieces of work, which must be copyable
  // What the kernel tells files with uprobes apart by is the inode behind them: device and number,
  // the others 0. A file that several overlays show has another device in each; there the device
  // is 0, and size and time stand for it.
  FileKey key;
  FileKey state;     // all four: the same contents as before, if it is the same as before
  std::string path;  // as the process sees it, without " (deleted)"
};

// None when there is no such process, or it executes nothing. Any thread.
std::optional<OpenFile> open_executable(const std::filesystem::path& procfs, std::uint32_t tgid);

using WantsLibrary = std::function<bool(std::string_view file_name)>;
// The mapped files, executable parts only, whose names are wanted; each once. Any thread.
std::vector<OpenFile>
open_libraries(const std::filesystem::path& procfs, std::uint32_t tgid, const WantsLibrary& wants);

// The kernel's name for an open file, for calls that take a path.
std::string path_of(const UniqueFd& fd);

}  // namespace sonde
