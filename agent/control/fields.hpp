// SPDX-License-Identifier: Apache-2.0
// Lines of words between the agent and its own commands, a tab after each. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sonde::control {

// The words of a line, at least `count` of them: those that are missing are empty.
std::vector<std::string_view> split_fields(std::string_view line, std::size_t count = 0);

// One line of them; a control character in a word becomes a blank.
std::string join_fields(const std::vector<std::string>& fields);

// For a terminal: valid UTF-8 without control characters, `-` for nothing.
std::string printable(std::string_view text);

}  // namespace sonde::control
