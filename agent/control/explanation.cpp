// SPDX-License-Identifier: Apache-2.0
#include "agent/control/explanation.hpp"

#include <fmt/format.h>

#include "agent/base/text.hpp"
#include "agent/control/fields.hpp"

namespace sonde::control {

namespace {

std::string_view role_word(std::uint8_t role)
{
  switch (role) {
  case SONDE_SOCKET_ROLE_CLIENT:
    return "client";
  case SONDE_SOCKET_ROLE_SERVER:
    return "server";
  default:
    return "unknown";
  }
}

// The reverse of sonde_socket_wish().
std::string wish_text(std::uint64_t wish)
{
  const auto limit = (wish >> 48U) * 16;
  const auto tail = (wish >> 40U & 0xffU) * 16;
  switch (wish >> 32U & 7U) {
  case SONDE_SOCKET_HEAD:
    return fmt::format("head:{}", limit);
  case SONDE_SOCKET_HEAD_AND_TAIL:
    return fmt::format("head:{}+tail:{}", limit, tail);
  case SONDE_SOCKET_FULL:
    return "full";
  case SONDE_SOCKET_SIZES:
    return "sizes";
  default:
    return "nothing";
  }
}

std::uint64_t number(std::string_view text)
{
  return parse_number<std::uint64_t>(text).value_or(0);
}

std::uint32_t tgid_of(std::string_view text)
{
  return parse_number<std::uint32_t>(text).value_or(0);
}

}  // namespace

Explanation::Connection explained(const protocols::ConnectionView& view)
{
  Explanation::Connection out{
      .tgid = view.tgid,
      .pair = view.pair,
      .role = std::string(role_word(view.role)),
      .protocol = std::string(view.protocol),
      .reason = std::string(protocols::word_of(view.unseen)),
      .captured = wish_text(view.wishes[SONDE_SOCKET_SENT]) + "/" +
                  wish_text(view.wishes[SONDE_SOCKET_RECEIVED]),
      .exchanges = view.exchanges,
      .lost_bytes = view.lost_bytes,
  };
  if (view.transport == SONDE_SOCKET_TLS)
    out.protocol.insert(0, "tls/");
  if (view.transport == SONDE_SOCKET_UNIX) {
    out.local = out.remote = "unix";
  } else if (view.addresses != nullptr) {
    out.local = protocols::host_and_port(view.addresses->local, view.addresses->local_port);
    out.remote = protocols::host_and_port(view.addresses->remote, view.addresses->remote_port);
  }
  return out;
}

std::vector<std::string> to_lines(const Explanation& explanation)
{
  std::vector<std::string> lines;
  lines.push_back(
      join_fields({"tap", explanation.attached ? "attached" : "absent", explanation.tap_reason}));
  for (const auto& process : explanation.processes)
    lines.push_back(join_fields({"process",
                                 std::to_string(process.tgid),
                                 process.service,
                                 process.named_by,
                                 process.own ? "own" : ""}));
  for (const auto& one : explanation.connections)
    lines.push_back(join_fields({"connection",
                                 std::to_string(one.tgid),
                                 std::to_string(one.pair),
                                 one.role,
                                 one.protocol,
                                 one.reason,
                                 one.captured,
                                 std::to_string(one.exchanges),
                                 std::to_string(one.lost_bytes),
                                 one.local,
                                 one.remote}));
  for (const auto& one : explanation.uprobes)
    lines.push_back(join_fields({"uprobes",
                                 std::to_string(one.tgid),
                                 one.family,
                                 one.file,
                                 std::to_string(one.sites),
                                 one.reason,
                                 one.text}));
  lines.push_back(join_fields({"more",
                               std::to_string(explanation.more_processes),
                               std::to_string(explanation.more_connections)}));
  return lines;
}

bool read_line(std::string_view line, Explanation& explanation)
{
  const auto fields = split_fields(line, 11);
  if (fields[0] == "tap") {
    explanation.attached = fields[1] == "attached";
    explanation.tap_reason = fields[2];
  } else if (fields[0] == "process") {
    explanation.processes.push_back({.tgid = tgid_of(fields[1]),
                                     .service = std::string(fields[2]),
                                     .named_by = std::string(fields[3]),
                                     .own = fields[4] == "own"});
  } else if (fields[0] == "connection") {
    explanation.connections.push_back({.tgid = tgid_of(fields[1]),
                                       .pair = number(fields[2]),
                                       .role = std::string(fields[3]),
                                       .protocol = std::string(fields[4]),
                                       .reason = std::string(fields[5]),
                                       .captured = std::string(fields[6]),
                                       .exchanges = number(fields[7]),
                                       .lost_bytes = number(fields[8]),
                                       .local = std::string(fields[9]),
                                       .remote = std::string(fields[10])});
  } else if (fields[0] == "uprobes") {
    explanation.uprobes.push_back({.tgid = tgid_of(fields[1]),
                                   .family = std::string(fields[2]),
                                   .file = std::string(fields[3]),
                                   .sites = number(fields[4]),
                                   .reason = std::string(fields[5]),
                                   .text = std::string(fields[6])});
  } else if (fields[0] == "more") {
    explanation.more_processes = number(fields[1]);
    explanation.more_connections = number(fields[2]);
  } else {
    return false;
  }
  return true;
}

}  // namespace sonde::control
