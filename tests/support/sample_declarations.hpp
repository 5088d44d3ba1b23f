// SPDX-License-Identifier: Apache-2.0
// Declarations with a setting of each kind, for tests of the command line and the configuration
// file that must not depend on which families exist.
#pragma once

#include "agent/app/declarations.hpp"

namespace sonde::app {

const Declarations& sample_declarations();

}  // namespace sonde::app
