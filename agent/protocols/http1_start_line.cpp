// SPDX-License-Identifier: Apache-2.0
#include "agent/protocols/http1_start_line.hpp"

#include <algorithm>
#include <array>

namespace sonde::http1 {

namespace {

using protocols::Match;

constexpr std::string_view kVersion = "HTTP/1.";
constexpr std::size_t kMaxMethod = 32;
constexpr std::size_t kMaxUndecided = 8192;  // bytes without a line end

// The registry of RFC 9110 section 16.1 as far as servers implement it.
constexpr std::array<std::string_view, 25> kMethods = {
    "GET",       "POST",  "HEAD",   "PUT",    "DELETE", "OPTIONS",    "PATCH",  "CONNECT", "TRACE",
    "PROPFIND",  "MKCOL", "COPY",   "MOVE",   "LOCK",   "UNLOCK",     "REPORT", "SEARCH",  "MERGE",
    "PROPPATCH", "BIND",  "UNBIND", "REBIND", "ACL",    "MKCALENDAR", "QUERY"};

bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

bool is_token_character(char c)
{
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || is_digit(c) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_target_character(char c)
{
  return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
}

bool is_version(std::string_view text)
{
  return text.size() == kVersion.size() + 1 && text.starts_with(kVersion) && is_digit(text.back());
}

std::uint8_t minor_of(std::string_view version)
{
  return static_cast<std::uint8_t>(version.back() - '0');
}

std::string_view without_empty_lines(std::string_view bytes)
{
  bytes.remove_prefix(std::min(bytes.size(), bytes.find_first_not_of("\r\n")));
  return bytes;
}

}  // namespace

std::optional<RequestLine> parse_request_line(std::string_view line)
{
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || first > kMaxMethod || last <= first + 1)
    return std::nullopt;
  const auto method = line.substr(0, first);
  const auto target = line.substr(first + 1, last - first - 1);
  const auto version = line.substr(last + 1);
  if (!is_version(version) || !std::ranges::all_of(method, is_token_character) ||
      !std::ranges::all_of(target, is_target_character))
    return std::nullopt;
  return RequestLine{.method = method, .target = target, .minor = minor_of(version)};
}

std::optional<StatusLine> parse_status_line(std::string_view line)
{
  constexpr std::size_t kVersionSize = kVersion.size() + 1;
  if (line.size() < kVersionSize + 4 || !is_version(line.substr(0, kVersionSize)) ||
      line[kVersionSize] != ' ')
    return std::nullopt;
  const auto digits = line.substr(kVersionSize + 1, 3);
  const auto rest = line.substr(kVersionSize + 4);
  if (!std::ranges::all_of(digits, is_digit) || digits[0] == '0' ||
      (!rest.empty() && rest[0] != ' '))
    return std::nullopt;
  const int status = ((digits[0] - '0') * 100) + ((digits[1] - '0') * 10) + (digits[2] - '0');
  return StatusLine{.status = static_cast<std::uint16_t>(status),
                    .minor = minor_of(line.substr(0, kVersionSize))};
}

Match begins_request(std::string_view bytes)
{
  bytes = without_empty_lines(bytes);
  const auto end = bytes.find('\n');
  if (end != std::string_view::npos) {
    auto line = bytes.substr(0, end);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    return parse_request_line(line) ? Match::kYes : Match::kNo;
  }
  if (bytes.size() > kMaxUndecided)
    return Match::kNo;
  const auto method = bytes.substr(0, bytes.find(' '));
  if (method.size() > kMaxMethod || !std::ranges::all_of(method, is_token_character))
    return Match::kNo;
  auto rest = bytes.substr(method.size());
  if (rest.empty())
    return Match::kNeedMore;
  rest.remove_prefix(1);
  if (method.empty() || rest.starts_with(' '))
    return Match::kNo;
  const auto target = rest.substr(0, rest.find(' '));
  if (!std::ranges::all_of(target, is_target_character))
    return Match::kNo;
  auto version = rest.substr(std::min(rest.size(), target.size() + 1));
  if (version.ends_with('\r'))
    return is_version(version.substr(0, version.size() - 1)) ? Match::kNeedMore : Match::kNo;
  return kVersion.starts_with(version) || is_version(version) ? Match::kNeedMore : Match::kNo;
}

bool begins_known_request(std::string_view bytes)
{
  bytes = without_empty_lines(bytes);
  return begins_request(bytes) == Match::kYes &&
         bounded_method(bytes.substr(0, bytes.find(' '))) != "other";
}

Match begins_response(std::string_view bytes)
{
  bytes = without_empty_lines(bytes);
  constexpr std::string_view kShape = "HTTP/1.d ddd";
  for (std::size_t i = 0; i < std::min(bytes.size(), kShape.size()); ++i)
    if (kShape[i] == 'd' ? !is_digit(bytes[i]) : bytes[i] != kShape[i])
      return Match::kNo;
  if (bytes.size() <= kShape.size())
    return Match::kNeedMore;
  const char next = bytes[kShape.size()];
  const bool ends = next == ' ' || next == '\r' || next == '\n';
  return ends && parse_status_line(bytes.substr(0, kShape.size())) ? Match::kYes : Match::kNo;
}

std::string_view bounded_method(std::string_view method)
{
  const auto* const found = std::ranges::find(kMethods, method);
  return found == kMethods.end() ? "other" : *found;
}

std::string_view path_of(const RequestLine& line)
{
  if (line.method == "CONNECT")
    return {};
  auto path = line.target;
  if (!path.starts_with('/')) {
    const auto scheme = path.find("://");
    if (scheme != std::string_view::npos && scheme < path.find_first_of("/?#")) {
      path.remove_prefix(scheme + 3);
      path.remove_prefix(std::min(path.size(), path.find_first_of("/?#")));
      if (!path.starts_with('/'))
        return "/";
    }
  }
  return path.substr(0, path.find_first_of("?#"));
}

}  // namespace sonde::http1
