// SPDX-License-Identifier: Apache-2.0
// A process as /proc shows it, put together with what the agent knows of its connections.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "agent/control/explanation.hpp"

namespace sonde::app {

struct ExplainedProcess {
  control::Explanation::Process known;
  std::string command;
  std::string executable;
  std::string container;  // or pod's; empty for none
  std::uint64_t started_wall_ns = 0;
  bool kernel_thread = false;
  bool sockets_readable = true;
  std::uint64_t listening = 0;     // TCP
  std::uint64_t connected = 0;     // TCP
  std::uint64_t unix_streams = 0;  // AF_UNIX, listening or connected
  // The agent's, with addresses, then those of the kernel that the agent has not met.
  std::vector<control::Explanation::Connection> connections;
  std::vector<control::Explanation::Uprobes> uprobes;
  std::string reason;  // why nothing of it is decoded; empty when something is
};

// False when there is no such process.
bool explain_process(const std::filesystem::path& procfs,
                     const control::Explanation& explanation,
                     const control::Explanation::Process& known,
                     ExplainedProcess& out);

// What a reason means and what can be done, in a sentence.
std::string_view meaning_of(std::string_view reason);

}  // namespace sonde::app
