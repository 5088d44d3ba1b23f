// SPDX-License-Identifier: Apache-2.0
// The bytes of one file, read where somebody looks: blocks of 64 KiB by pread(2) into memory of its
// own. The file is not mapped: whoever may write it could truncate it, and each look beyond its end
// be SIGBUS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde::elf {

// Not thread-safe, reading included.
class FileContents {
public:
  // Fails for what is no regular file.
  static Result<FileContents> open(UniqueFd file);
  // What is in memory already and outlives this object.
  explicit FileContents(std::span<const std::byte> image)
      : memory_(const_cast<std::byte*>(image.data())), size_(image.size())
  {
  }

  FileContents(FileContents&& other) noexcept;
  FileContents& operator=(FileContents&& other) noexcept;
  FileContents(const FileContents&) = delete;
  FileContents& operator=(const FileContents&) = delete;
  ~FileContents();

  std::uint64_t size() const { return size_; }
  // All of [offset, offset + size), valid as long as this object, or nothing: beyond the end,
  // unreadable, more than 128 MiB of the file in all.
  std::span<const std::byte> bytes(std::uint64_t offset, std::uint64_t size);
  // How much of the file was read, in bytes.
  std::uint64_t resident() const;

private:
  FileContents() = default;
  bool load(std::uint64_t first_block, std::uint64_t end_block);

  UniqueFd file_;
  std::byte* memory_ = nullptr;
  std::uint64_t size_ = 0;
  std::vector<bool> loaded_;  // by block; empty when all is in memory
  std::uint64_t resident_blocks_ = 0;
};

}  // namespace sonde::elf
