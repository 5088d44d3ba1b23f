// SPDX-License-Identifier: Apache-2.0
// A Go program's type descriptors (internal/abi.Type), found by their shape: the lists that the
// linker keeps of them are not of all, and since Go 1.27 there are none.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/elf/go_binary.hpp"

namespace sonde::elf {

class GoTypes {
public:
  // Of the candidates the one in which the runtime's own types are. `file` outlives the object.
  static Result<GoTypes>
  find(const ElfFile& file, const std::vector<AddressRange>& candidates, const GoVersion& version);

  AddressRange range() const { return range_; }
  std::size_t count() const { return index_.size(); }
  Result<GoType> find(std::string_view wanted) const;
  std::vector<GoField> fields(std::uint64_t type) const;
  std::string text(std::uint64_t type) const;
  void for_each_struct(
      const std::function<bool(std::string_view, std::string_view, const GoType&)>& callback) const;

private:
  struct Entry {
    std::uint32_t hash;    // of the name without its package
    std::uint32_t offset;  // of the descriptor
  };
  GoTypes(const ElfFile& file, AddressRange range, const GoVersion& version);
  void scan();
  bool is_struct(std::uint64_t type) const;
  bool has_pointer(std::uint64_t type) const;

  template <typename T>
  T at(std::uint64_t address) const;
  bool holds(std::uint64_t address, std::uint64_t size) const;
  // A name by its offset from `range_`, or by its address (which may lie elsewhere).
  std::string_view name(std::uint32_t offset) const;
  std::string_view name_of_field(std::uint64_t address, std::uint8_t& flags) const;
  std::string_view string(std::uint64_t type) const;
  std::string_view package(std::uint64_t type) const;
  GoKind kind(std::uint64_t type) const;
  std::uint64_t pointer_to(std::uint64_t type) const;
  GoType described(std::uint64_t type) const;

  const ElfFile* file_;
  AddressRange range_;
  std::span<const std::byte> bytes_;  // of `range_`
  bool embedded_in_offset_;           // up to Go 1.18
  std::vector<Entry> index_;          // sorted by hash
};

}  // namespace sonde::elf
