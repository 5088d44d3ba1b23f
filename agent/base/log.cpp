// SPDX-License-Identifier: Apache-2.0
#include "agent/base/log.hpp"

#include <array>
#include <atomic>
#include <fmt/format.h>
#include <unistd.h>

#include "agent/base/clock.hpp"
#include "agent/base/text.hpp"

namespace sonde::log {

namespace {

constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warn", "error"};
std::atomic<Level> minimum{Level::kInfo};
std::atomic<Format> style{Format::kLogfmt};

bool needs_quotes(std::string_view value)
{
  return value.empty() || value.find_first_of(" =\"\\\n\r\t") != std::string_view::npos;
}

void append(std::string& line, Format format, std::string_view key, std::string_view value)
{
  if (format == Format::kJson) {
    line += line.empty() ? "{" : ",";
    line += json_quoted(key) + ":" + json_quoted(value);
    return;
  }
  if (!line.empty())
    line += ' ';
  line.append(key).append("=").append(needs_quotes(value) ? json_quoted(value)
                                                          : std::string(value));
}

}  // namespace

Result<Level> parse_level(std::string_view text)
{
  for (std::size_t i = 0; i < kLevels.size(); ++i)
    if (text == kLevels[i])
      return static_cast<Level>(i);
  return fail(fmt::format("log level \"{}\" is none of debug, info, warn, error", text));
}

Result<Format> parse_format(std::string_view text)
{
  if (text == "logfmt")
    return Format::kLogfmt;
  if (text == "json")
    return Format::kJson;
  return fail(fmt::format("log format \"{}\" is neither logfmt nor json", text));
}

void configure(Level level, Format format)
{
  minimum = level;
  style = format;
}

std::string
render(Format format, Level level, std::string_view message, std::initializer_list<Field> fields)
{
  std::string line;
  append(line, format, "level", kLevels[static_cast<std::size_t>(level)]);
  append(line, format, "msg", message);
  for (const auto& [key, value] : fields)
    append(line, format, key, value);
  if (format == Format::kJson)
    line += '}';
  return line;
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields)
{
  if (level < minimum.load(std::memory_order_relaxed))
    return;
  const auto format = style.load(std::memory_order_relaxed);
  auto line = render(format, level, message, fields);
  if (format == Format::kJson)
    line.insert(1, R"("ts":")" + utc_text(wall_ns()) + R"(",)");
  else
    line.insert(0, "ts=" + utc_text(wall_ns()) + ' ');
  line += '\n';
  // One write(2) a line, so that threads do not interleave; a full pipe loses the line, not us.
  [[maybe_unused]] const auto n = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace sonde::log
