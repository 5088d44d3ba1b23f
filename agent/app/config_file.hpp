// SPDX-License-Identifier: Apache-2.0
// The configuration file: YAML, one nested map or dotted keys, read into typed values. Whatever the
// file holds, reading ends: size, nodes, depth and errors are bounded.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/app/declarations.hpp"

namespace sonde::app {

inline constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxConfigNodes = 100'000;
inline constexpr std::size_t kMaxConfigDepth = 32;
inline constexpr std::size_t kMaxConfigErrors = 50;

struct ConfigError {
  int line = 0;  // from 1; 0: the file as a whole
  int column = 0;
  std::string what;  // one line
};

struct Config {
  std::vector<Assignment> values;
  std::vector<ConfigError> errors;  // in the order of the file
};

Config parse_config(std::string_view text, const Declarations& declared);
Config read_config(const std::string& path, const Declarations& declared);

// `file:line:column: what`, one line each, without a last line feed.
std::string render_errors(std::string_view path, std::span<const ConfigError> errors);

}  // namespace sonde::app
