// SPDX-License-Identifier: Apache-2.0
// A disk for tests: a loop device over memory, with requests of its own and nobody else's I/O.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "agent/base/unique_fd.hpp"

namespace sonde::testing {

// Operations in the kernel's order: read, write, discard, flush.
struct DiskStats {
  std::array<std::uint64_t, 4> completions{};
  std::array<std::uint64_t, 4> bytes{};  // flushes have none
};

DiskStats operator-(const DiskStats& a, const DiskStats& b);

// A disk's line of /proc/diskstats; zeros when it has none.
DiskStats read_diskstats(const std::string& disk);

class LoopDisk {
public:
  enum class Io { kCached, kDirect };

  // A file in memory of that size, or the given one. Nothing when the kernel has no free loop
  // device, or when it cannot do direct I/O to that file.
  static std::unique_ptr<LoopDisk> create(std::uint64_t bytes, Io io = Io::kCached);
  static std::unique_ptr<LoopDisk> create(UniqueFd file, Io io = Io::kCached);
  ~LoopDisk();
  LoopDisk(const LoopDisk&) = delete;
  LoopDisk& operator=(const LoopDisk&) = delete;

  const std::string& name() const { return name_; }  // loop3
  const std::string& path() const { return path_; }  // /dev/loop3
  DiskStats stats() const { return read_diskstats(name_); }
  // Changes the size of the file beneath, which the disk does not notice.
  void resize_file(std::uint64_t bytes) const;

private:
  LoopDisk() = default;

  std::string name_;
  std::string path_;
  UniqueFd file_;
  UniqueFd device_;
};

// An ext4 file system on a disk, mounted for as long as this exists.
class MountedDisk {
public:
  // Nothing where mkfs.ext4 or ext4 is missing.
  static std::unique_ptr<MountedDisk> create(std::uint64_t bytes);
  ~MountedDisk();
  MountedDisk(const MountedDisk&) = delete;
  MountedDisk& operator=(const MountedDisk&) = delete;

  const LoopDisk& disk() const { return *disk_; }
  const std::string& folder() const { return folder_; }
  // A new file there with all its blocks.
  UniqueFd file(const std::string& name, std::uint64_t bytes) const;
  // Nothing is written to it between these.
  void freeze();
  void thaw();

private:
  MountedDisk() = default;

  std::unique_ptr<LoopDisk> disk_;
  std::string folder_;
  UniqueFd root_;
  bool mounted_ = false;
  bool frozen_ = false;
};

}  // namespace sonde::testing
