// SPDX-License-Identifier: Apache-2.0
// Redis: how a connection is recognised, and its metrics.
#include <algorithm>
#include <array>

#include "agent/protocols/protocol.hpp"
#include "agent/protocols/redis_commands.hpp"
#include "agent/protocols/redis_decoder.hpp"

namespace sonde::redis {

namespace {

using metrics::Desc;
using metrics::Type;
using protocols::Exchange;
using protocols::Heads;
using protocols::Match;
using protocols::Recorder;
using protocols::Role;

constexpr Desc kMetrics[] = {
    {"redis_operations_total",
     Type::kCounter,
     "Redis commands this service wrote, replied to or not; a command unknown to Redis 8 is "
     "`other`. From socket traffic; commands of scripts and pushes are not counted.",
     "service peer operation"},
    {"redis_operation_duration_seconds",
     Type::kHistogram,
     "From the first byte of a Redis command written to the last byte of its reply read; the wait "
     "of a blocking command is part of it. Commands without a reply are left out.",
     "service peer operation"},
    {"redis_errors_total",
     Type::kCounter,
     "Error replies to Redis commands by their first word; errors inside of EXEC's reply are not "
     "counted.",
     "service peer operation error"},
    {"redis_server_operations_total",
     Type::kCounter,
     "Redis commands this service read, replied to or not. From socket traffic.",
     "service operation"},
    {"redis_server_operation_duration_seconds",
     Type::kHistogram,
     "From the read that delivered the first byte of a Redis command to the last byte of its reply "
     "written, the wait of a blocking command included.",
     "service operation"},
};

constexpr const Desc& kOperations = kMetrics[0];
constexpr const Desc& kDuration = kMetrics[1];
constexpr const Desc& kErrors = kMetrics[2];
constexpr const Desc& kServerOperations = kMetrics[3];
constexpr const Desc& kServerDuration = kMetrics[4];

constexpr std::size_t kMostHead = 128;  // no first command's name ends later

bool is_name_character(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

// A length line after its mark: its value, or 0 with `match` telling why not.
std::size_t take_length(std::string_view& text, char mark, Match& match)
{
  match = Match::kNeedMore;
  if (text.empty())
    return 0;
  match = Match::kNo;
  if (text.front() != mark)
    return 0;
  std::size_t value = 0;
  for (std::size_t i = 1; i < text.size() && i < 9; ++i) {
    if (text[i] == '\r' && i > 1) {
      match = text.substr(i + 1).starts_with('\n') ? Match::kYes : Match::kNo;
      if (i + 1 == text.size())
        match = Match::kNeedMore;
      text.remove_prefix(std::min(text.size(), i + 2));
      return value;
    }
    if (text[i] < '0' || text[i] > '9')
      return 0;
    value = value * 10 + static_cast<std::size_t>(text[i] - '0');
  }
  match = text.size() < 9 ? Match::kNeedMore : Match::kNo;
  return 0;
}

// `*2\r\n$3\r\nGET\r\n`; `known` says whether it is a command of the table.
Match array_command(std::string_view text, bool& known)
{
  Match match{};
  if (const auto count = take_length(text, '*', match); match != Match::kYes || count == 0)
    return match == Match::kYes ? Match::kNo : match;
  const auto length = take_length(text, '$', match);
  if (match != Match::kYes)
    return match;
  if (length == 0 || length > kMostHead / 2)
    return Match::kNo;
  const auto name = text.substr(0, length);
  if (!std::ranges::all_of(name, is_name_character))
    return Match::kNo;
  text.remove_prefix(name.size());
  if (!std::string_view("\r\n").starts_with(text.substr(0, 2)))
    return Match::kNo;
  if (text.size() < 2)
    return Match::kNeedMore;
  Word<kLongestName> upper;
  upper.append_upper(name);
  known = length <= kLongestName && is_known(command_id(upper.view()));
  return Match::kYes;
}

// A line that a server of Redis may begin with. `+OK` alone is other protocols' too.
Match reply(std::string_view text)
{
  if (text.empty())
    return Match::kNeedMore;
  if (!is_reply_type(text.front()))
    return Match::kNo;
  const auto end = text.find('\n');
  if (end == std::string_view::npos)
    return text.size() < kMostHead ? Match::kNeedMore : Match::kNo;
  if (end < 2 || text[end - 1] != '\r')
    return Match::kNo;
  const auto line = text.substr(1, end - 2);
  if (text.front() == '+' || text.front() == '-')
    return std::ranges::all_of(line, [](char c) { return c >= ' ' && c <= '~'; }) ? Match::kYes
                                                                                  : Match::kNo;
  return std::ranges::all_of(line,
                             [](char c) {
                               return (c >= '0' && c <= '9') ||
                                      std::string_view("-+.?tfeEinfa").contains(c);
                             })
             ? Match::kYes
             : Match::kNo;
}

// A connection that is only listened on.
bool is_subscription(std::string_view text)
{
  constexpr std::string_view kStarts[] = {"*3\r\n$7\r\nmessage\r\n$",
                                          "*4\r\n$8\r\npmessage\r\n$",
                                          ">3\r\n$7\r\nmessage\r\n$",
                                          ">4\r\n$8\r\npmessage\r\n$",
                                          ">3\r\n$8\r\nsmessage\r\n$"};
  return std::ranges::any_of(kStarts,
                             [&](std::string_view start) { return text.starts_with(start); });
}

// Inline commands are words that other protocols know too: POP3 and SMTP have QUIT and AUTH, NATS
// has PING. So the reply decides.
Match inline_command(const Heads& heads)
{
  const auto end = heads.to_server.find_first_of(" \r\n");
  if (!std::ranges::all_of(heads.to_server.substr(0, end), is_name_character))
    return Match::kNo;
  if (end == std::string_view::npos)
    return heads.to_server.size() <= kLongestName ? Match::kNeedMore : Match::kNo;
  Word<kLongestName> upper;
  upper.append_upper(heads.to_server.substr(0, end));
  const auto name = upper.view();
  if (end > kLongestName || !is_known(command_id(name)) || name == "QUIT" || name == "AUTH")
    return Match::kNo;
  const auto line = heads.to_server.find('\n');
  if (line == std::string_view::npos)
    return heads.to_server.size() < kMostHead ? Match::kNeedMore : Match::kNo;
  constexpr std::string_view kPong = "+PONG\r\n";
  if (heads.to_client.starts_with('+') && name == "PING") {
    if (!heads.to_client.starts_with(kPong.substr(0, heads.to_client.size())))
      return Match::kNo;
    return heads.to_client.size() < kPong.size() ? Match::kNeedMore : Match::kYes;
  }
  return reply(heads.to_client);
}

Match recognise(const Heads& heads)
{
  bool known = false;
  auto match = Match::kNeedMore;
  if (heads.to_server.empty()) {
    // A server speaks second, but its reply may have been seen before the command.
    if (!heads.from_start && is_subscription(heads.to_client))
      return Match::kYes;
    return reply(heads.to_client) == Match::kNo ? Match::kNo : Match::kNeedMore;
  }
  if (heads.to_server.front() == '*')
    match = array_command(heads.to_server, known);
  else
    return heads.from_start && is_name_character(heads.to_server.front()) ? inline_command(heads)
                                                                          : Match::kNo;
  if (match != Match::kYes || (known && heads.from_start))
    return match;
  return reply(heads.to_client);
}

void record(const Exchange& exchange, Recorder& recorder)
{
  const bool answered = exchange.end == Exchange::End::kComplete &&
                        exchange.response_last_ns != 0 &&
                        exchange.response_last_ns >= exchange.request_first_ns;
  const auto duration_ns = exchange.response_last_ns - exchange.request_first_ns;
  if (recorder.role() == Role::kServer) {
    recorder.count(kServerOperations, {exchange.operation});
    if (answered)
      recorder.observe(kServerDuration, {exchange.operation}, duration_ns);
    return;
  }
  const auto peer = recorder.peer();
  recorder.count(kOperations, {peer, exchange.operation});
  if (answered)
    recorder.observe(kDuration, {peer, exchange.operation}, duration_ns);
  if (!exchange.status.empty())
    recorder.count(kErrors, {peer, exchange.operation, exchange.status});
}

}  // namespace

extern const protocols::Protocol protocol{
    .name = "redis",
    .recognise = recognise,
    .decoder = [](bool from_start) -> std::unique_ptr<protocols::Decoder> {
      return std::make_unique<RedisDecoder>(from_start);
    },
    .record = record,
    .level = [](const protocols::Activity&, std::int64_t, Recorder&) {},
    .metrics = kMetrics,
};

}  // namespace sonde::redis
