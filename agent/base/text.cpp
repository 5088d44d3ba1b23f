// SPDX-License-Identifier: Apache-2.0
#include "agent/base/text.hpp"

#include <algorithm>
#include <ctime>
#include <fmt/format.h>
#include <numeric>
#include <utility>

namespace sonde {

namespace {

// One compare for most bytes: std::string_view's own searches call memchr for each.
bool is_blank(char c)
{
  return c <= ' ' && (c == ' ' || (c >= '\t' && c <= '\r'));
}

std::size_t first_blank(std::string_view text, bool wanted)
{
  std::size_t i = 0;
  while (i < text.size() && is_blank(text[i]) != wanted)
    ++i;
  return i;
}

unsigned char byte_at(std::string_view text, std::size_t i)
{
  return static_cast<unsigned char>(text[i]);
}

// Length of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none
// (RFC 3629 section 4: no overlong forms, no surrogates, nothing above U+10FFFF).
std::size_t sequence_length(std::string_view text)
{
  const auto first = byte_at(text, 0);
  if (first < 0x80)
    return 1;
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    low = first == 0xE0 ? 0xA0 : 0x80;
    high = first == 0xED ? 0x9F : 0xBF;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    low = first == 0xF0 ? 0x90 : 0x80;
    high = first == 0xF4 ? 0x8F : 0xBF;
  }
  if (length == 0 || text.size() < length)
    return 0;
  if (byte_at(text, 1) < low || byte_at(text, 1) > high)
    return 0;
  for (std::size_t i = 2; i < length; ++i)
    if ((byte_at(text, i) & 0xC0) != 0x80)
      return 0;
  return length;
}

std::size_t edit_distance(std::string_view a, std::string_view b)
{
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto replaced = diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U);
      diagonal = row[j];
      row[j] = std::min<std::size_t>({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::string_view trim(std::string_view text)
{
  text.remove_prefix(first_blank(text, false));
  while (!text.empty() && is_blank(text.back()))
    text.remove_suffix(1);
  return text;
}

std::string_view take_word(std::string_view& rest)
{
  rest.remove_prefix(first_blank(rest, false));
  const auto word = rest.substr(0, first_blank(rest, true));
  rest.remove_prefix(word.size());
  return word;
}

std::vector<std::string_view> split(std::string_view text, char separator)
{
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos)
      return parts;
    text.remove_prefix(at + 1);
  }
}

std::string valid_utf8(std::string_view text, std::size_t limit)
{
  const auto ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::ranges::all_of(text, ascii))
    return std::string(text.substr(0, limit));
  std::string out;
  out.reserve(std::min(text.size(), limit));
  while (!text.empty()) {
    const auto length = sequence_length(text);
    const auto piece = length == 0 ? std::string_view("\xEF\xBF\xBD") : text.substr(0, length);
    if (out.size() + piece.size() > limit)
      break;
    out += piece;
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string json_quoted(std::string_view text)
{
  std::string out = "\"";
  for (const char c : valid_utf8(text)) {
    switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      if (static_cast<unsigned char>(c) < 0x20)
        out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      else
        out += c;
    }
  }
  return out += '"';
}

std::string utc_text(std::uint64_t wall_ns)
{
  const auto time = static_cast<std::time_t>(wall_ns / 1'000'000'000U);
  std::tm utc{};
  gmtime_r(&time, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                     utc.tm_year + 1900,
                     utc.tm_mon + 1,
                     utc.tm_mday,
                     utc.tm_hour,
                     utc.tm_min,
                     utc.tm_sec,
                     wall_ns / 1'000'000U % 1000U);
}

std::optional<std::string_view> nearest(std::string_view word,
                                        std::span<const std::string_view> candidates)
{
  std::optional<std::string_view> best;
  auto best_distance = std::max<std::size_t>(word.size() / 3, 1) + 1;
  for (const auto candidate : candidates) {
    const auto distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace sonde
