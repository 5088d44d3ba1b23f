// SPDX-License-Identifier: Apache-2.0
// An ELF file of 64 bits, little endian, as far as somebody asks for it. Nothing in the file is
// believed: whatever points out of it is absent, and what is counted in it is bounded by its size.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/unique_fd.hpp"

namespace sonde::elf {

class FileContents;
class Relocations;

enum class Machine : std::uint8_t {
  kOther,
  kX86_64,  // NOLINT(readability-identifier-naming): the architecture's name
  kAarch64,
};

// A PT_LOAD. Addresses are the file's own everywhere here: what a process adds to them is its load
// bias.
struct Segment {
  std::uint64_t address;
  std::uint64_t memory_size;
  std::uint64_t offset;
  std::uint64_t file_size;  // within the file, whatever the header says; <= memory_size
  bool readable;
  bool writable;
  bool executable;
};

struct Section {
  std::string_view name;
  std::uint32_t type;
  std::uint64_t flags;
  std::uint64_t address;
  std::uint64_t offset;
  std::uint64_t size;
  std::uint32_t link;
  std::uint64_t entry_size;
};

struct Symbol {
  std::string_view name;
  std::uint64_t address;
  std::uint64_t size;
  bool function;  // STT_FUNC or STT_GNU_IFUNC
};

// Not thread-safe, not even for reading: what is read is cached. Spans and views are valid as long
// as the object, moving it included.
class ElfFile {
public:
  static Result<ElfFile> open(const std::filesystem::path& path);
  static Result<ElfFile> open(UniqueFd file);
  // `image` outlives the object.
  static Result<ElfFile> parse(std::span<const std::byte> image);

  ElfFile(ElfFile&&) noexcept;
  ElfFile& operator=(ElfFile&&) noexcept;
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;
  ~ElfFile();

  Machine machine() const { return machine_; }
  std::uint64_t size() const;

  const std::vector<Segment>& segments() const { return segments_; }
  // Empty where the headers are missing or not of this file.
  const std::vector<Section>& sections() const { return sections_; }
  // The first of that name.
  const Section* section(std::string_view name) const;

  // Where in the file a byte lies that a process has at this address.
  std::optional<std::uint64_t> offset_of(std::uint64_t address) const;
  std::optional<std::uint64_t> address_of(std::uint64_t offset) const;
  // Whether the address is in a segment, also where the file has no bytes for it (.bss).
  bool in_memory(std::uint64_t address) const;

  // All of what is asked for, or nothing.
  std::span<const std::byte> bytes(std::uint64_t offset, std::uint64_t size) const;
  std::span<const std::byte> bytes_at(std::uint64_t address, std::uint64_t size) const;
  // From this address to the end of its segment, at most `limit` bytes.
  std::span<const std::byte> bytes_from(std::uint64_t address, std::uint64_t limit) const;

  template <typename T>
  std::optional<T> read_at(std::uint64_t address) const
  {
    static_assert(std::is_trivially_copyable_v<T> && std::endian::native == std::endian::little);
    const auto found = bytes_at(address, sizeof(T));
    if (found.empty())
      return {};
    T value;
    std::memcpy(&value, found.data(), sizeof value);
    return value;
  }
  // A pointer as a process finds it, less the load bias: of a RELATIVE relocation where there is
  // one.
  std::optional<std::uint64_t> pointer_at(std::uint64_t address) const;
  // Zero-terminated, at most `limit` bytes long.
  std::optional<std::string_view> string_at(std::uint64_t address, std::size_t limit = 4096) const;

  // The linker's (GNU) in hexadecimal, else Go's, else empty.
  std::string build_id() const;

  // Calls back for each defined symbol of .symtab and .dynsym until it answers false. Names may
  // repeat.
  void for_each_symbol(const std::function<bool(const Symbol&)>& callback) const;
  // DT_NEEDED.
  std::vector<std::string_view> needed() const;

  // Addresses that a RELATIVE relocation fills with `value`, at most `limit`, and addresses of
  // writable memory whose 8 aligned bytes in the file are `value`.
  std::vector<std::uint64_t> pointers_to(std::uint64_t value, std::size_t limit = 64) const;

  // How much of the file was read so far.
  std::uint64_t resident() const;

private:
  struct Dynamic {
    std::vector<std::uint64_t> needed;
    std::uint64_t strings = 0;
    std::uint64_t strings_size = 0;
    std::uint64_t relocations = 0;
    std::uint64_t relocations_size = 0;
  };
  ElfFile();
  static Result<ElfFile> read(std::unique_ptr<FileContents> contents);
  void read_segments(std::uint64_t offset, unsigned entry_size, unsigned count);
  void read_sections(std::uint64_t offset, unsigned entry_size, unsigned count, unsigned names);
  const Segment* segment_of(std::uint64_t address) const;
  Dynamic read_dynamic() const;
  const Relocations& relocations() const;

  std::unique_ptr<FileContents> contents_;
  mutable std::unique_ptr<Relocations> relocations_;
  std::vector<Segment> segments_;
  std::vector<Section> sections_;
  std::vector<Segment> notes_;
  std::optional<Segment> dynamic_;
  Machine machine_ = Machine::kOther;
  bool position_independent_ = false;  // ET_DYN: executables, too, and shared libraries
};

}  // namespace sonde::elf
