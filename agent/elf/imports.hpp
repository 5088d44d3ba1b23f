// SPDX-License-Identifier: Apache-2.0
// Functions of other files that a file calls by its procedure linkage table.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/elf/elf_file.hpp"

namespace sonde::elf {

// The address of the stub through which calls of `function` go, as the section headers tell; none
// where it is called otherwise (-fno-plt, static). x86-64 only.
std::optional<std::uint64_t> import_stub(const ElfFile& file, std::string_view function);

}  // namespace sonde::elf
