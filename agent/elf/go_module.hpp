// SPDX-License-Identifier: Apache-2.0
// The two tables that everything else of a Go program hangs on: pclntab and moduledata.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/elf/elf_file.hpp"
#include "agent/elf/go_binary.hpp"

namespace sonde::elf {

struct GoModuleData {
  std::uint64_t address;  // of the moduledata
  std::uint64_t pclntab;  // address
  std::span<const std::byte> function_names;
  std::span<const std::byte>
      functions;  // {u32 entry - text, u32 offset of _func in `function_data`}, and an end
  std::span<const std::byte> function_data;
  std::size_t function_count;
  AddressRange text;
  std::vector<AddressRange> data;  // noptrdata, data, bss, noptrbss
  // Where [types, etypes) may be: the layout has changed with versions, so it is tried.
  std::vector<AddressRange> types;

  static Result<GoModuleData> find(const ElfFile& file);
};

}  // namespace sonde::elf
