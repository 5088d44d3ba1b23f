// SPDX-License-Identifier: Apache-2.0
// `sonde check`: what this node has, lacks, and what to do about it. Needs no privilege, and says
// what is lost without.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/app/declarations.hpp"
#include "agent/app/options.hpp"
#include "agent/base/result.hpp"
#include "agent/probes/hooks.hpp"

namespace sonde::app {

enum class Verdict : std::uint8_t {
  kPass,
  kWarn,  // something is missing, the rest works
  kFail,  // Sonde cannot be used like this
};

struct Finding {
  std::string name;
  Verdict verdict;
  std::string what;
  std::string remedy = {};  // empty when nothing is to be done
};

// Starts every family that is switched on, in turn, and says what became of each hook; everything
// is detached when it returns.
using TryHooks = std::function<Result<std::vector<Hooks::Hook>>(const Settings&)>;

// All findings, in the order in which an operator follows them up.
std::vector<Finding>
check(const Declarations& declared, const Invocation& invocation, const TryHooks& try_hooks);

std::vector<Finding> check_configuration(const Invocation& invocation,
                                         const Declarations& declared);
std::vector<Finding> check_collectors(std::span<const CollectorInfo* const> collectors,
                                      const Settings& settings);
std::vector<Finding> check_hooks(std::span<const Hooks::Hook> hooks);
std::vector<Finding> check_listening(const Settings& settings);

// Where the node's file systems are, as the settings say.
Paths paths_of(const Settings& settings);

std::string findings_text(std::span<const Finding> findings);
std::string findings_json(std::span<const Finding> findings);
// kExitFailed when anything failed.
int exit_code(std::span<const Finding> findings);

}  // namespace sonde::app
