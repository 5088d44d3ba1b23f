// SPDX-License-Identifier: Apache-2.0
// From the command line to an exit code: the commands that end by themselves, and the way to those
// that watch the node.
#pragma once

#include <functional>

#include "agent/app/check.hpp"
#include "agent/app/declarations.hpp"
#include "agent/app/options.hpp"

namespace sonde::app {

// What needs the whole agent, and is therefore handed in.
struct Agent {
  // `sonde run`, with --dry-run too. An error ends the process with kExitFailed.
  std::function<Result<>(const Invocation&, const Settings&)> run;
  TryHooks try_hooks;
};

// Whatever is wrong is one line each on standard error, and the exit code says whose fault it is.
int dispatch(std::span<const std::string_view> arguments,
             const Declarations& declared,
             const Agent& agent);
int dispatch(int argc, const char* const* argv, const Agent& agent);

}  // namespace sonde::app
