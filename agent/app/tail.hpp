// SPDX-License-Identifier: Apache-2.0
// `sonde tail`: the exchanges that the running agent sees, as they end.
#pragma once

#include "agent/app/options.hpp"
#include "agent/base/settings.hpp"

namespace sonde::app {

// Until SIGINT, SIGTERM, the limit, or nobody reads the output. An error is one line.
Result<> tail(const Invocation& invocation, const Settings& settings);

}  // namespace sonde::app
