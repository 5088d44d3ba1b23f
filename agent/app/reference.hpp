// SPDX-License-Identifier: Apache-2.0
// What an operator reads about the settings: `sonde --help`, and the table in README.md. Both are
// made from the declarations.
#pragma once

#include <string>

#include "agent/app/declarations.hpp"

namespace sonde::app {

std::string help_text(const Declarations& declared);
std::string settings_markdown(const Declarations& declared);

}  // namespace sonde::app
