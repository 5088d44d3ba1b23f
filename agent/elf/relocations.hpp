// SPDX-License-Identifier: Apache-2.0
// The RELATIVE relocations of a position-independent file: what its pointers will be, less the load
// bias.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "agent/elf/elf_file.hpp"

namespace sonde::elf {

class Relocations {
public:
  // `table` is the file's DT_RELA, which outlives the object. (Packed ones, DT_RELR, have their
  // value in place.)
  Relocations(std::span<const std::byte> table, Machine machine);

  std::optional<std::uint64_t> find(std::uint64_t address) const;
  void
  for_each(const std::function<void(std::uint64_t address, std::uint64_t value)>& callback) const;

private:
  struct Entry {
    std::uint64_t address;
    std::uint64_t info;
    std::uint64_t value;
  };
  Entry at(std::size_t index) const;
  bool relative(const Entry& entry) const { return (entry.info & 0xffffffff) == relative_type_; }

  std::span<const std::byte> table_;
  std::uint32_t relative_type_;
  std::size_t count_ = 0;
  // Of the entries by address; empty where the linker has sorted them.
  std::vector<std::uint32_t> order_;
};

}  // namespace sonde::elf
