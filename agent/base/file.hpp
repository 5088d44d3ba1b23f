// SPDX-License-Identifier: Apache-2.0
// Whole-file reads of procfs, sysfs and configuration, bounded in size.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde {

inline constexpr std::size_t kMaxFileBytes = std::size_t{16} << 20;

// The file's text; fails when it is larger than `limit` bytes. `path` names it in the error.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit = kMaxFileBytes);

// One file read again and again: keeps the descriptor and the buffer, so that a read costs one or
// two pread(2). Not thread-safe. A read that fails closes the descriptor; the next one opens anew.
class ReusedFile {
public:
  enum class End {
    kAtNothing,  // a read of nothing ends the file: right for every file
    // A read shorter than the buffer ends it, which saves one read. True for regular files, sysfs,
    // sysctl and the procfs files that the kernel makes by single_open(): /proc/stat, not
    // /proc/diskstats.
    kAtShortRead,
  };

  explicit ReusedFile(std::filesystem::path path, End end = End::kAtNothing)
      : path_(std::move(path)), end_(end)
  {
  }

  // Valid until the next read.
  Result<std::string_view> read();
  const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
  End end_;
  UniqueFd fd_;
  std::string buffer_;
};

}  // namespace sonde
