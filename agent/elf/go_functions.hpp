// SPDX-License-Identifier: Apache-2.0
// A Go program's functions by name and address. Built in one pass over the tables: 8 to 16 bytes a
// function.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/elf/go_module.hpp"

namespace sonde::elf {

class GoFunctions {
public:
  // The spans in `module` outlive the object.
  explicit GoFunctions(const GoModuleData& module);

  std::optional<AddressRange> find(std::string_view wanted) const;
  std::optional<std::string_view> at(std::uint64_t address) const;
  void for_each(const std::function<bool(std::string_view, AddressRange)>& callback) const;

private:
  AddressRange range(std::size_t index) const;
  std::string_view name(std::size_t index) const;

  std::span<const std::byte> names_;
  std::span<const std::byte> table_;
  std::span<const std::byte> data_;
  std::size_t count_;
  AddressRange text_;
  std::vector<std::uint32_t> slots_;  // open addressing: index + 1, 0 is free
};

}  // namespace sonde::elf
