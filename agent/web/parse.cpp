// SPDX-License-Identifier: Apache-2.0
#include "agent/web/parse.hpp"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>

#include "agent/base/text.hpp"

namespace sonde::web {

namespace {

enum class Plus : std::uint8_t { kKept, kBlank };

std::optional<std::string> percent_decoded(std::string_view text, Plus plus)
{
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::kBlank) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const auto digits = text.substr(i + 1, 2);
      const auto value = digits.size() == 2 ? parse_hex(digits) : std::nullopt;
      if (!value)
        return std::nullopt;
      out += static_cast<char>(*value);
      i += 2;
    }
  }
  return out;
}

std::optional<Query> parse_query(std::string_view text)
{
  Query query;
  while (!text.empty()) {
    auto value = take_until(text, '&');
    if (value.empty())
      continue;
    const auto key = take_until(value, '=');
    auto decoded_key = percent_decoded(key, Plus::kBlank);
    auto decoded_value = percent_decoded(value, Plus::kBlank);
    if (!decoded_key || !decoded_value)
      return std::nullopt;
    query.emplace(std::move(*decoded_key), std::move(*decoded_value));
  }
  return query;
}

bool equal_ignoring_case(std::string_view a, std::string_view b)
{
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// Takes the scheme and authority off an absolute form.
std::string_view origin_form(std::string_view target)
{
  const auto scheme = target.find("://");
  if (scheme == std::string_view::npos || target.starts_with('/'))
    return target;
  const auto name = target.substr(0, scheme);
  if (!equal_ignoring_case(name, "http") && !equal_ignoring_case(name, "https"))
    return {};
  target.remove_prefix(scheme + 3);
  const auto path = target.find_first_of("/?");
  return path == std::string_view::npos ? "/" : target.substr(path);
}

// The weight of one element, ";q=0.5": 1 where there is none, nothing where it is malformed.
std::optional<double> weight(std::string_view parameters)
{
  while (!parameters.empty()) {
    auto value = trim(take_until(parameters, ';'));
    const auto name = trim(take_until(value, '='));
    if (!equal_ignoring_case(name, "q"))
      continue;
    // from_chars knows more than RFC 9110's grammar: "inf", "-1", "1e-3".
    const auto digits = trim(value);
    if (digits.find_first_not_of("0123456789.") != std::string_view::npos)
      return std::nullopt;
    return parse_number<double>(digits);
  }
  return 1.0;
}

}  // namespace

std::optional<Target> parse_target(std::string_view target)
{
  auto rest = origin_form(target);
  const bool absolute = rest.size() < target.size();
  rest = rest.substr(0, rest.find('#'));
  const auto question = rest.find('?');
  const auto raw_path = rest.substr(0, question);
  // "http://node:7663?x=1" has an empty path, which means "/".
  if (!raw_path.starts_with('/') && (!absolute || question != 0))
    return std::nullopt;
  auto path = percent_decoded(raw_path.empty() ? "/" : raw_path, Plus::kKept);
  auto query = parse_query(question == std::string_view::npos ? "" : rest.substr(question + 1));
  if (!path || !query)
    return std::nullopt;
  return Target{.path = std::move(*path), .query = std::move(*query)};
}

bool accepts_gzip(std::string_view accept_encoding)
{
  std::optional<bool> named;
  bool any = false;
  while (!accept_encoding.empty()) {
    auto element = take_until(accept_encoding, ',');
    const auto coding = trim(take_until(element, ';'));
    const bool welcome = weight(element).value_or(0) > 0;
    if (equal_ignoring_case(coding, "gzip") || equal_ignoring_case(coding, "x-gzip"))
      named = named.value_or(false) || welcome;
    else if (coding == "*")
      any = welcome;
  }
  return named.value_or(any);
}

Result<ListenAddress> parse_listen_address(std::string_view text)
{
  const auto refuse = [&](std::string_view why) {
    return fail(fmt::format("listen address \"{}\": {}", text, why));
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return refuse("no port, as in \":7663\"");
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!port)
    return refuse("the port is not a number from 0 to 65535");
  auto host = text.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']') || host.size() < 3)
      return refuse("the bracket does not close");
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos)
      return refuse("brackets hold an IPv6 address");
  } else if (host.find(':') != std::string_view::npos) {
    return refuse("an IPv6 address stands in brackets, as in \"[::1]:7663\"");
  }
  if (host.find_first_of(std::string_view("[]/ \t\r\n\0", 8)) != std::string_view::npos)
    return refuse("the host is not a name or an address");
  return ListenAddress{.host = std::string(host), .port = *port};
}

}  // namespace sonde::web
