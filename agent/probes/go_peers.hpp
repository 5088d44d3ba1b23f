// SPDX-License-Identifier: Apache-2.0
// Names the other ends of Go programs' connections as the sockets' decoder does. On the event
// loop's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "sonde/go_conn.h"

#include "agent/elf/go_binary.hpp"
#include "agent/protocols/connections.hpp"

namespace sonde {

// What the programs need of net's types; nothing is found by it in a program that lacks them.
sonde_go_conn go_conn_of(const elf::GoBinary& binary);

class GoPeers {
public:
  // Descriptor of go_conn_locals.
  explicit GoPeers(int locals) : locals_(locals) {}

  // Of the text in a key: the service there, else host:port, else what the program wrote. Nothing
  // while the service may still show up, for the sockets' records come when they come; not so of a
  // process that is `gone`. Valid until the next call.
  std::optional<std::string_view> name(protocols::Connections& connections,
                                       std::uint32_t tgid,
                                       const char (&text)[SONDE_GO_PEER],
                                       std::uint8_t length,
                                       bool gone);
  void forget(const std::unordered_set<std::uint32_t>& gone);

private:
  struct Peer {
    std::string service;  // empty: not known
    std::uint64_t since_ns = 0;
  };

  bool find(protocols::Connections& connections, const sonde_go_remote& remote, Peer& peer);

  int locals_;
  std::unordered_map<std::uint32_t, std::unordered_map<std::string, Peer>> peers_;
  std::string address_;
};

}  // namespace sonde
