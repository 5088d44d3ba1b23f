// SPDX-License-Identifier: Apache-2.0
// The side of `sonde tail` and `sonde explain`: asks the running agent and takes what it says.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "agent/base/result.hpp"

namespace sonde::control {

// Whether to go on.
using TakeLine = std::function<bool(char kind, std::string_view text)>;

// Sends one line and hands on those of the answer, kText and kLeft, until the agent's last one.
// Ends well before that when `take` says so, SIGINT or SIGTERM comes, or nobody reads standard
// output any more. An error is one line for the operator.
Result<> converse(const std::string& path, const std::string& request, const TakeLine& take);

}  // namespace sonde::control
