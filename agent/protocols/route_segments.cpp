// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/route_segments.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "agent/base/text.hpp"

namespace sonde::protocols {

namespace {

constexpr std::size_t kMaxPath = 1024;
constexpr std::size_t kMaxLiteral = 48;
constexpr std::size_t kMinHash = 8;
constexpr std::size_t kMinToken = 16;

// Names that have digits and are no values.
constexpr std::array kNames = std::to_array<std::string_view>(
    {"i18n", "l10n", "a11y", "g11n", "base64", "sha256", "sha512", "x509", "utf16", "http11"});

bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}
bool is_lower(char c)
{
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c)
{
  return c >= 'A' && c <= 'Z';
}
bool is_letter(char c)
{
  return is_lower(c) || is_upper(c);
}
bool is_hex(char c)
{
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool all(std::string_view text, bool (*is)(char))
{
  return !text.empty() && std::ranges::all_of(text, is);
}

// `9` stands for a digit, `x` for a hexadecimal one, anything else for itself.
bool has_shape(std::string_view text, std::string_view shape)
{
  return std::ranges::equal(text, shape, [](char c, char wanted) {
    if (wanted == '9')
      return is_digit(c);
    return wanted == 'x' ? is_hex(c) : c == wanted;
  });
}

bool is_number(std::string_view text)
{
  if (text.starts_with('-') || text.starts_with('+'))
    text.remove_prefix(1);
  const auto whole = take_until(text, '.');
  return all(whole, is_digit) && (text.empty() || all(text, is_digit));
}

bool is_date(std::string_view text)
{
  return has_shape(text, "9999-99") || has_shape(text.substr(0, 10), "9999-99-99") ||
         has_shape(text.substr(0, 9), "99999999T");
}

// v1, v12, v1beta2, v2alpha: names. v1.2.3, 1.2.3: values.
bool is_api_version(std::string_view text)
{
  if (!text.starts_with('v') || text.size() < 2 || !is_digit(text[1]))
    return false;
  text.remove_prefix(1);
  text.remove_prefix(text.size() > 1 && is_digit(text[1]) ? 2 : 1);
  for (const std::string_view stage : {"alpha", "beta", "rc"})
    if (text.starts_with(stage)) {
      text.remove_prefix(stage.size());
      break;
    }
  return text.empty() || (text.size() == 1 && is_digit(text[0]));
}

bool is_version(std::string_view text)
{
  if (text.starts_with('v'))
    text.remove_prefix(1);
  return !text.empty() && is_digit(text.front()) && std::ranges::count(text, '.') >= 1 &&
         std::ranges::all_of(text, [](char c) { return is_digit(c) || c == '.'; });
}

bool is_email(std::string_view text)
{
  const auto at = text.find('@');
  return at != std::string_view::npos && at > 0 && text.find('.', at) != std::string_view::npos;
}

// What a run of letters, digits and the like is a value of; empty for a name.
std::string_view value_of(std::string_view text)
{
  const auto digits = std::ranges::count_if(text, is_digit);
  if (text.size() > kMaxLiteral)
    return "{token}";
  if (digits == 0)
    return {};
  if (is_number(text))
    return "{id}";
  if (has_shape(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"))
    return "{uuid}";
  if (is_date(text))
    return "{date}";
  if (text.size() >= kMinHash && all(text, is_hex))
    return "{hash}";
  if (is_api_version(text) || std::ranges::find(kNames, text) != kNames.end())
    return {};
  if (is_version(text))
    return "{version}";
  const bool mixed = std::ranges::any_of(text, is_lower) && std::ranges::any_of(text, is_upper);
  if (text.size() >= kMinToken && (mixed || digits >= 4))
    return "{token}";
  return digits >= 2 ? "{id}" : std::string_view();  // oauth2, s3 and 2fa are names
}

// Of files; any other with a digit may be part of a value.
bool is_extension(std::string_view text)
{
  static constexpr std::array<std::string_view, 11> kWithDigits = {
      "mp3", "mp4", "m3u8", "m4a", "m4s", "m4v", "7z", "bz2", "woff2", "3gp", "jp2"};
  return std::ranges::find(kWithDigits, text) != kWithDigits.end() ||
         (text.size() <= 5 && all(text, is_letter));
}

// Digit-free names with an extension are names; with numbers or hashes in them they are files.
bool is_numbered_file(std::string_view stem)
{
  std::ptrdiff_t digits = 0;
  while (!stem.empty()) {
    const auto word = stem.substr(0, stem.find_first_of(".-_"));
    stem.remove_prefix(std::min(stem.size(), word.size() + 1));
    if (!value_of(word).empty())
      return true;
    digits += std::ranges::count_if(word, is_digit);
  }
  return digits >= 2;
}

// Without its escapes, or nothing where they are wrong or hide what no name has in it.
std::optional<std::string> unescaped(std::string_view segment)
{
  std::string out;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] != '%') {
      out += segment[i];
      continue;
    }
    const auto digits = segment.substr(i + 1, 2);
    const auto value = digits.size() == 2 ? parse_hex(digits) : std::nullopt;
    if (!value || *value < 0x20)
      return std::nullopt;
    out += static_cast<char>(*value);
    i += 2;
  }
  return out;
}

bool is_plain(char c)
{
  return is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.' || c == '~';
}

}  // namespace

Segments::Segments(std::string_view path)
{
  path = path.substr(0, std::min(kMaxPath, path.find_first_of("?#")));
  while (!path.empty()) {
    auto segment = take_until(path, '/');
    segment = segment.substr(0, segment.find(';'));
    if (segment.empty() || segment == ".")
      continue;
    if (segment == "..") {
      size_ -= size_ > 0 ? 1 : 0;
      continue;
    }
    if (size_ == kMost) {
      segments_[kMost - 1] = kAnyRest;
      return;
    }
    segments_[size_++] = segment;
  }
}

std::string_view generalised(std::string_view segment, std::string& scratch)
{
  if (segment == kAnyRest || segment == "*")
    return segment;
  std::string plain;
  auto text = segment;
  if (!std::ranges::all_of(segment, is_plain)) {
    auto decoded = unescaped(segment);
    if (!decoded || decoded->find_first_of("{}\"\\\x7f/") != std::string::npos ||
        valid_utf8(*decoded) != *decoded)
      return "{token}";
    plain = std::move(*decoded);
    text = plain;
    if (is_email(text))
      return "{email}";
  }
  const auto dot = text.rfind('.');
  const auto extension = dot == std::string_view::npos ? "" : text.substr(dot + 1);
  if (dot != 0 && is_extension(extension) && text.size() <= 2 * kMaxLiteral) {
    if (!is_numbered_file(text.substr(0, dot)))
      return text.size() > kMaxLiteral ? "{token}" : segment;
    scratch.assign("{file}.").append(extension);
    return scratch;
  }
  const auto value = value_of(text);
  if (!value.empty())
    return value;
  return segment.size() > kMaxLiteral ? kAnySlug : segment;
}

}  // namespace sonde::protocols
