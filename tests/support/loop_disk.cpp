// SPDX-License-Identifier: Apache-2.0
#include "tests/support/loop_disk.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "agent/base/file.hpp"
#include "agent/base/text.hpp"

namespace sonde::testing {

DiskStats operator-(const DiskStats& a, const DiskStats& b)
{
  DiskStats difference;
  for (std::size_t i = 0; i < 4; ++i) {
    difference.completions[i] = a.completions[i] - b.completions[i];
    difference.bytes[i] = a.bytes[i] - b.bytes[i];
  }
  return difference;
}

DiskStats read_diskstats(const std::string& disk)
{
  DiskStats stats;
  const auto text = read_file("/proc/diskstats").value_or("");
  std::string_view rest = text;
  while (!rest.empty()) {
    auto line = take_line(rest);
    take_word(line);
    take_word(line);
    if (take_word(line) != disk)
      continue;
    // Reads, writes, discards: completed, merged, sectors, ms; after the writes three figures of
    // the queue; flushes at last.
    std::array<std::uint64_t, 17> field{};
    for (auto& value : field)
      value = parse_number<std::uint64_t>(take_word(line)).value_or(0);
    stats.completions = {field[0], field[4], field[11], field[15]};
    stats.bytes = {field[2] * 512, field[6] * 512, field[13] * 512, 0};
  }
  return stats;
}

std::unique_ptr<LoopDisk> LoopDisk::create(std::uint64_t bytes, Io io)
{
  UniqueFd file(::memfd_create("disk", MFD_CLOEXEC));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0)
    return nullptr;
  return create(std::move(file), io);
}

std::unique_ptr<LoopDisk> LoopDisk::create(UniqueFd file, Io io)
{
  if (::access("/dev/loop-control", F_OK) != 0)
    (void)!std::system("modprobe loop 2>/dev/null");
  const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  // Somebody else may take the free one first.
  for (int attempt = 0; control && attempt < 10; ++attempt) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0)
      return nullptr;
    std::unique_ptr<LoopDisk> disk(new LoopDisk);
    disk->name_ = fmt::format("loop{}", number);
    disk->path_ = "/dev/" + disk->name_;
    disk->device_ = UniqueFd(::open(disk->path_.c_str(), O_RDWR | O_CLOEXEC));
    if (!disk->device_ || ::ioctl(disk->device_.get(), LOOP_SET_FD, file.get()) != 0) {
      disk->device_ = UniqueFd();
      ::usleep(10'000);
      continue;
    }
    disk->file_ = std::move(file);
    if (io == Io::kDirect && ::ioctl(disk->device_.get(), LOOP_SET_DIRECT_IO, 1UL) != 0)
      return nullptr;
    return disk;
  }
  return nullptr;
}

LoopDisk::~LoopDisk()
{
  if (device_)
    ::ioctl(device_.get(), LOOP_CLR_FD, 0);
}

void LoopDisk::resize_file(std::uint64_t bytes) const
{
  if (::ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0)
    std::abort();
}

std::unique_ptr<MountedDisk> MountedDisk::create(std::uint64_t bytes)
{
  std::unique_ptr<MountedDisk> mounted(new MountedDisk);
  mounted->disk_ = LoopDisk::create(bytes);
  if (!mounted->disk_)
    return nullptr;
  const auto make = fmt::format("mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 {}",
                                mounted->disk_->path());
  std::string folder = "/tmp/sonde-disk-XXXXXX";
  if (std::system(make.c_str()) != 0 || ::mkdtemp(folder.data()) == nullptr)
    return nullptr;
  mounted->folder_ = folder;
  mounted->mounted_ =
      ::mount(mounted->disk_->path().c_str(), folder.c_str(), "ext4", MS_NOATIME, nullptr) == 0;
  if (!mounted->mounted_)
    return nullptr;
  mounted->root_ = UniqueFd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return mounted;
}

MountedDisk::~MountedDisk()
{
  if (frozen_)
    thaw();
  root_ = UniqueFd();
  if (mounted_)
    ::umount2(folder_.c_str(), MNT_DETACH);
  if (!folder_.empty())
    ::rmdir(folder_.c_str());
}

UniqueFd MountedDisk::file(const std::string& name, std::uint64_t bytes) const
{
  UniqueFd file(::openat(root_.get(), name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file || ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes)) != 0 ||
      ::fsync(file.get()) != 0)
    std::abort();
  return file;
}

void MountedDisk::freeze()
{
  if (::ioctl(root_.get(), FIFREEZE, 0) != 0)
    std::abort();
  frozen_ = true;
}

void MountedDisk::thaw()
{
  ::ioctl(root_.get(), FITHAW, 0);
  frozen_ = false;
}

}  // namespace sonde::testing
