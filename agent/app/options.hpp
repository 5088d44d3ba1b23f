// SPDX-License-Identifier: Apache-2.0
// The command line: `sonde [COMMAND] [flags]`, one flag for every setting.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/app/declarations.hpp"
#include "agent/base/result.hpp"

namespace sonde::app {

// Exit codes of every command.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // an invalid configuration, a port in use, a failed check
inline constexpr int kExitUsage = 2;   // the command line itself

enum class Command : std::uint8_t {
  kRun,
  kCheck,
  kMetrics,
  kTail,
  kExplain,
  kConfigCheck,
  kVersion,
  kHelp,
};

// A command line that was understood. Valid as long as the Declarations it was read with.
struct Invocation {
  Command command = Command::kRun;
  std::string config_file;        // empty: none
  std::vector<Assignment> flags;  // settings given on the command line
  bool dry_run = false;           // of run
  bool json = false;              // of check, tail and explain
  bool markdown = false;          // of metrics
  std::string subject;            // of explain: PID or service; of tail: a protocol, if any
  std::string service;            // of tail, as the two below
  std::string status;
  std::string limit;
};

// `arguments` without the program's name. An error is one line and means kExitUsage.
Result<Invocation> parse_command_line(std::span<const std::string_view> arguments,
                                      const Declarations& declared);

// Flag before file before default. Reads the configuration file, so that a reload calls it again.
// An error has one line, `file:line:column: what`, for each thing that is wrong, and means
// kExitFailed.
Result<Settings> resolve_settings(const Declarations& declared, const Invocation& invocation);

}  // namespace sonde::app
