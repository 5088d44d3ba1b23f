// SPDX-License-Identifier: Apache-2.0
// Structured log lines on standard error, logfmt or JSON. Any thread. Only app/ and long-lived
// loops log; library code returns errors.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "agent/base/result.hpp"

namespace sonde::log {

enum class Level { kDebug, kInfo, kWarn, kError };
enum class Format { kLogfmt, kJson };

using Field = std::pair<std::string_view, std::string>;

Result<Level> parse_level(std::string_view text);
Result<Format> parse_format(std::string_view text);

void configure(Level level, Format format);
void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

// The line that write() would print, without time: what tests look at.
std::string
render(Format format, Level level, std::string_view message, std::initializer_list<Field> fields);

inline void debug(std::string_view message, std::initializer_list<Field> fields = {})
{
  write(Level::kDebug, message, fields);
}
inline void info(std::string_view message, std::initializer_list<Field> fields = {})
{
  write(Level::kInfo, message, fields);
}
inline void warn(std::string_view message, std::initializer_list<Field> fields = {})
{
  write(Level::kWarn, message, fields);
}
inline void error(std::string_view message, std::initializer_list<Field> fields = {})
{
  write(Level::kError, message, fields);
}

}  // namespace sonde::log
