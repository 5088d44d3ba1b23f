// SPDX-License-Identifier: Apache-2.0
// Pure text helpers: splitting, numbers, UTF-8 repair, JSON quoting, spelling suggestions.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sonde {

std::string_view trim(std::string_view text);

// Takes the part before the first `separator` off `rest`; the separator goes too.
inline std::string_view take_until(std::string_view& rest, char separator)
{
  const auto at = rest.find(separator);
  const auto head = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return head;
}

inline std::string_view take_line(std::string_view& rest)
{
  return take_until(rest, '\n');
}

// Takes the next run of non-blank characters off `rest`; empty at the end.
std::string_view take_word(std::string_view& rest);

std::vector<std::string_view> split(std::string_view text, char separator);

// The whole text as a number, or nothing: no sign for unsigned types, no blanks, no rest.
template <typename T>
  requires std::integral<T> || std::floating_point<T>
std::optional<T> parse_number(std::string_view text)
{
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

inline std::optional<std::uint64_t> parse_hex(std::string_view text)
{
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

// Valid UTF-8: every byte that is not part of a well-formed sequence (RFC 3629) becomes U+FFFD.
// At most `limit` bytes, cut between characters.
std::string valid_utf8(std::string_view text, std::size_t limit = std::string::npos);

// A JSON string with its quotes (RFC 8259 section 7); repairs UTF-8.
std::string json_quoted(std::string_view text);

// 2026-11-26T04:45:29.123Z, from the time since the epoch.
std::string utc_text(std::uint64_t wall_ns);

// The candidate nearest to `word` in edit distance, if near enough to be what was meant.
std::optional<std::string_view> nearest(std::string_view word,
                                        std::span<const std::string_view> candidates);

}  // namespace sonde
