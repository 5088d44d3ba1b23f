// SPDX-License-Identifier: Apache-2.0
// `sonde explain`: a process or a service, what the running agent sees of its sockets, and why it
// does not see the rest.
#pragma once

#include <string>
#include <vector>

#include "agent/app/explain_process.hpp"
#include "agent/app/options.hpp"
#include "agent/base/settings.hpp"
#include "agent/control/explanation.hpp"

namespace sonde::app {

Result<> explain(const Invocation& invocation, const Settings& settings);

// What the agent and /proc say together.
std::string explanation_text(const control::Explanation& explanation,
                             const std::vector<ExplainedProcess>& processes);
std::string explanation_json(const control::Explanation& explanation,
                             const std::vector<ExplainedProcess>& processes);

}  // namespace sonde::app
