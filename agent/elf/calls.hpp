// SPDX-License-Identifier: Apache-2.0
// Direct calls and jumps in a piece of x86-64 code.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/elf/elf_file.hpp"

namespace sonde::elf {

struct DirectCall {
  std::uint64_t address;  // of the instruction
  std::uint64_t target;
  bool jump;
};

// All whose target lies outside [begin, begin + size), in the order of the code; decoding ends at
// what is no instruction, and after `most` bytes.
std::vector<DirectCall> direct_calls(const ElfFile& file,
                                     std::uint64_t begin,
                                     std::uint64_t size,
                                     std::uint64_t most = 16384);

// Where the first of them, jumps left out, calls `target`.
std::optional<std::uint64_t> call_of(const std::vector<DirectCall>& calls, std::uint64_t target);

}  // namespace sonde::elf
