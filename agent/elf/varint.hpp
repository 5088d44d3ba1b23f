// SPDX-License-Identifier: Apache-2.0
// Go's variable-length numbers, and strings that have one in front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sonde::elf {

// Takes the number off the front.
inline std::optional<std::uint64_t> take_varint(std::span<const std::byte>& bytes)
{
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 10 && i < bytes.size(); ++i) {
    const auto byte = std::to_integer<std::uint64_t>(bytes[i]);
    value |= (byte & 0x7f) << (7 * i);
    if ((byte & 0x80) == 0) {
      bytes = bytes.subspan(i + 1);
      return value;
    }
  }
  return {};
}

// Takes length and text off the front; nothing where less is there.
inline std::optional<std::string_view> take_text(std::span<const std::byte>& bytes)
{
  auto rest = bytes;
  const auto length = take_varint(rest);
  if (!length || *length > rest.size())
    return {};
  bytes = rest.subspan(*length);
  return std::string_view(reinterpret_cast<const char*>(rest.data()), *length);
}

}  // namespace sonde::elf
