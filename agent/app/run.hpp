// SPDX-License-Identifier: Apache-2.0
// `sonde run`: the agent from start to SIGTERM.
#pragma once

#include "agent/app/options.hpp"
#include "agent/base/settings.hpp"
#include "agent/probes/hooks.hpp"

namespace sonde::app {

// Blocks until SIGTERM or SIGINT; with --dry-run prints what would be attached and which services
// exist. An error says why it could not start.
Result<> run(const Invocation& invocation, const Settings& settings);

// Starts every family that is switched on and says what became of its hooks; detached on return.
Result<std::vector<Hooks::Hook>> try_hooks(const Settings& settings);

}  // namespace sonde::app
