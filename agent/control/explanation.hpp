// SPDX-License-Identifier: Apache-2.0
// What the agent knows of processes and their connections, and its way through the control socket.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/protocols/connections.hpp"

namespace sonde::control {

struct Explanation {
  struct Process {
    std::uint32_t tgid = 0;
    std::string service;
    std::string named_by;  // what gave it the name; empty where that is not known
    bool own = false;      // the agent itself
  };
  struct Connection {
    std::uint32_t tgid = 0;
    std::uint64_t pair = 0;  // protocols::Addresses::key(); 0: AF_UNIX
    std::string role;        // server, client or unknown
    std::string protocol;    // or unknown, ignored; behind tls/ where it is seen within TLS
    std::string reason;      // why it is not decoded; empty when it is
    std::string captured;    // of what is sent and received
    std::uint64_t exchanges = 0;
    std::uint64_t lost_bytes = 0;
    std::string local;  // empty where only the key is known
    std::string remote;
  };

  // What a family of uprobes has in one file of a process.
  struct Uprobes {
    std::uint32_t tgid = 0;
    std::string family;
    std::string file;
    std::uint64_t sites = 0;
    std::string reason;  // why it has none; empty where it has all it wants
    std::string text;
  };

  bool attached = false;   // the tap
  std::string tap_reason;  // why not
  std::vector<Process> processes;
  std::vector<Connection> connections;
  std::vector<Uprobes> uprobes;
  std::uint64_t more_processes = 0;  // that were left out
  std::uint64_t more_connections = 0;
};

Explanation::Connection explained(const protocols::ConnectionView& view);

std::vector<std::string> to_lines(const Explanation& explanation);
// Adds what a line says; false when it says nothing that is known.
bool read_line(std::string_view line, Explanation& explanation);

}  // namespace sonde::control
