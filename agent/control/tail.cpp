// SPDX-License-Identifier: Apache-2.0
#include "agent/control/tail.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <vector>

#include "agent/base/text.hpp"
#include "agent/control/fields.hpp"

namespace sonde::control {

namespace {

using protocols::Exchange;
using protocols::Observed;
using protocols::Role;

constexpr std::size_t kFields = 5;

// The template where the protocol has one, the name where the target is nothing else.
std::string_view target_of(const Observed& seen)
{
  return seen.protocol.target_is_name ? seen.exchange.target : seen.route;
}

std::string_view end_word(Exchange::End end)
{
  switch (end) {
  case Exchange::End::kComplete:
    return "";
  case Exchange::End::kClientClosed:
    return "client_closed";
  case Exchange::End::kServerClosed:
    return "server_closed";
  case Exchange::End::kReset:
    return "reset";
  }
  return "";
}

std::optional<std::uint64_t> duration_of(const Exchange& exchange)
{
  if (exchange.request_first_ns == 0 || exchange.response_last_ns < exchange.request_first_ns)
    return std::nullopt;
  return exchange.response_last_ns - exchange.request_first_ns;
}

std::string duration_text(const Exchange& exchange)
{
  const auto ns = duration_of(exchange);
  if (!ns)
    return "-";
  const auto number = static_cast<double>(*ns);
  if (*ns >= 1'000'000'000)
    return fmt::format("{:.3f}s", number / 1e9);
  return *ns >= 1'000'000 ? fmt::format("{:.2f}ms", number / 1e6)
                          : fmt::format("{:.1f}us", number / 1e3);
}

std::string_view role_word(Role role)
{
  return role == Role::kServer ? "server" : "client";
}

}  // namespace

std::string to_line(const TailRequest& request)
{
  return join_fields({request.protocol,
                      request.service,
                      request.status,
                      std::to_string(request.limit),
                      request.json ? "json" : "text"});
}

Result<TailRequest> read_tail(std::string_view line)
{
  const auto fields = split_fields(line, kFields);
  const auto limit = parse_number<std::uint64_t>(fields[3]);
  if (fields.size() != kFields || !limit || (fields[4] != "json" && fields[4] != "text"))
    return fail("tail: a request of another version");
  return TailRequest{.protocol = std::string(fields[0]),
                     .service = std::string(fields[1]),
                     .status = std::string(fields[2]),
                     .limit = *limit,
                     .json = fields[4] == "json"};
}

Result<> accept(const TailRequest& request, std::span<const protocols::Protocol* const> known)
{
  std::vector<std::string_view> words;
  for (const auto* protocol : known)
    for (const auto word : {protocol->group, protocol->name})
      if (!word.empty() && std::ranges::find(words, word) == words.end())
        words.push_back(word);
  if (request.protocol.empty() || std::ranges::find(words, request.protocol) != words.end())
    return {};
  return fail(
      fmt::format("\"{}\" is none of {}", printable(request.protocol), fmt::join(words, ", ")));
}

bool matches(const TailRequest& request, const Observed& seen)
{
  const auto& protocol = seen.protocol;
  if (!request.protocol.empty() && request.protocol != protocol.name &&
      request.protocol != protocol.group)
    return false;
  if (!request.service.empty() && request.service != seen.service.name)
    return false;
  const std::string_view wanted = request.status;
  const auto status = seen.exchange.status;
  if (wanted.size() == 3 && wanted.ends_with("xx"))
    return status.size() == 3 && status.front() == wanted.front();
  return wanted.empty() || wanted == status;
}

std::string tail_text(const Observed& seen, std::uint64_t wall_ns)
{
  const auto& exchange = seen.exchange;
  const auto end = end_word(exchange.end);
  return fmt::format("{} {:<10} {} {:<16} {:<21} {:<8} {} {} {} {}",
                     utc_text(wall_ns).substr(11, 12),
                     seen.protocol.name,
                     role_word(seen.role),
                     printable(seen.service.name),
                     printable(seen.peer),
                     printable(exchange.operation),
                     printable(target_of(seen)),
                     printable(end.empty() ? exchange.status : end),
                     duration_text(exchange),
                     exchange.sizes_known
                         ? fmt::format("{}/{}", exchange.request_bytes, exchange.response_bytes)
                         : "-");
}

std::string tail_json(const Observed& seen, std::uint64_t wall_ns)
{
  const auto& exchange = seen.exchange;
  std::string out = fmt::format(
      R"({{"time":"{}","protocol":"{}","role":"{}","service":{},"peer":{},"operation":{},"target":{},"status":{})",
      utc_text(wall_ns),
      seen.protocol.name,
      role_word(seen.role),
      json_quoted(seen.service.name),
      json_quoted(seen.peer),
      json_quoted(exchange.operation),
      json_quoted(target_of(seen)),
      json_quoted(exchange.status));
  if (const auto end = end_word(exchange.end); !end.empty())
    out += fmt::format(R"(,"aborted":"{}")", end);
  if (const auto ns = duration_of(exchange))
    out += fmt::format(R"(,"seconds":{:.9f})", static_cast<double>(*ns) / 1e9);
  if (exchange.sizes_known)
    out += fmt::format(R"(,"request_bytes":{},"response_bytes":{})",
                       exchange.request_bytes,
                       exchange.response_bytes);
  return out + "}";
}

}  // namespace sonde::control
