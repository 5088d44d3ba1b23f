// SPDX-License-Identifier: Apache-2.0
// Small executables made byte by byte: with given code, or with the least that a Go program has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace sonde::test {

using Bytes = std::vector<std::byte>;

struct ImageSegment {
  std::uint64_t address;
  Bytes bytes;
  std::uint32_t flags;  // PF_*
};

// No sections; `machine` is EM_*, `type` ET_*.
Bytes elf_image(const std::vector<ImageSegment>& segments,
                std::uint16_t machine = 62,
                std::uint16_t type = 2);

// Code at kCodeAddress and nothing else.
inline constexpr std::uint64_t kCodeAddress = 0x401000;
Bytes code_image(const std::vector<std::uint8_t>& code, std::uint16_t machine = 62);

// Like a program of Go 1.26: functions main.main and runtime.main, types runtime.g {goid int64 at
// 8} and net/http.Request {Method string at 0, Close bool at 16}.
Bytes go_image();

}  // namespace sonde::test
