// SPDX-License-Identifier: Apache-2.0
#include "agent/elf/file_contents.hpp"

#include <algorithm>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sonde::elf {

namespace {

constexpr std::uint64_t kBlockBytes = 64 << 10;
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{16} << 30;
// Of one file at a time; the largest programs seen (100 MB) need 45 MB of theirs. Any user of the
// node may have an executable of any size.
constexpr std::uint64_t kMaxResidentBlocks = (std::uint64_t{128} << 20) / kBlockBytes;

}  // namespace

Result<FileContents> FileContents::open(UniqueFd file)
{
  struct stat status{};
  if (::fstat(file.get(), &status) != 0)
    return fail(errno, "fstat");
  if (!S_ISREG(status.st_mode))
    return fail("not a regular file");
  FileContents contents;
  contents.size_ = static_cast<std::uint64_t>(status.st_size);
  if (contents.size_ > kMaxFileBytes)
    return fail("larger than 16 GiB");
  if (contents.size_ == 0)
    return contents;
  // Takes memory only where it is written to.
  void* memory = ::mmap(nullptr,
                        contents.size_,
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1,
                        0);
  if (memory == MAP_FAILED)
    return fail(errno, "mmap");
  contents.memory_ = static_cast<std::byte*>(memory);
  contents.loaded_.resize((contents.size_ + kBlockBytes - 1) / kBlockBytes);
  contents.file_ = std::move(file);
  return contents;
}

FileContents::FileContents(FileContents&& other) noexcept
    : file_(std::move(other.file_)), memory_(std::exchange(other.memory_, nullptr)),
      size_(std::exchange(other.size_, 0)), loaded_(std::move(other.loaded_)),
      resident_blocks_(other.resident_blocks_)
{
}

FileContents& FileContents::operator=(FileContents&& other) noexcept
{
  std::swap(file_, other.file_);
  std::swap(memory_, other.memory_);
  std::swap(size_, other.size_);
  std::swap(loaded_, other.loaded_);
  std::swap(resident_blocks_, other.resident_blocks_);
  return *this;
}

FileContents::~FileContents()
{
  if (!loaded_.empty() && memory_ != nullptr)
    ::munmap(memory_, size_);
}

std::span<const std::byte> FileContents::bytes(std::uint64_t offset, std::uint64_t size)
{
  if (size == 0 || size > size_ || offset > size_ - size)
    return {};
  if (!loaded_.empty() && !load(offset / kBlockBytes, ((offset + size - 1) / kBlockBytes) + 1))
    return {};
  return {memory_ + offset, size};
}

std::uint64_t FileContents::resident() const
{
  return loaded_.empty() ? size_ : std::min(size_, resident_blocks_ * kBlockBytes);
}

bool FileContents::load(std::uint64_t first_block, std::uint64_t end_block)
{
  for (std::uint64_t block = first_block; block < end_block; ++block) {
    if (loaded_[block])
      continue;
    std::uint64_t end = block + 1;
    while (end < end_block && !loaded_[end])
      ++end;
    if (end - block > kMaxResidentBlocks - resident_blocks_)
      return false;
    std::uint64_t at = block * kBlockBytes;
    const std::uint64_t stop = std::min(size_, end * kBlockBytes);
    while (at < stop) {
      const auto got = ::pread(file_.get(), memory_ + at, stop - at, static_cast<off_t>(at));
      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0)
        return false;
      at += static_cast<std::uint64_t>(got);
    }
    std::fill(loaded_.begin() + static_cast<std::ptrdiff_t>(block),
              loaded_.begin() + static_cast<std::ptrdiff_t>(end),
              true);
    resident_blocks_ += end - block;
    block = end - 1;
  }
  return true;
}

}  // namespace sonde::elf
