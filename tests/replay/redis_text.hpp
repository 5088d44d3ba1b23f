// SPDX-License-Identifier: Apache-2.0
// Commands and replies of Redis as text.
#pragma once

#include <fmt/format.h>
#include <initializer_list>
#include <string>
#include <string_view>

namespace sonde::redis {

inline std::string command(std::initializer_list<std::string_view> arguments)
{
  auto text = fmt::format("*{}\r\n", arguments.size());
  for (const auto argument : arguments)
    text += fmt::format("${}\r\n{}\r\n", argument.size(), argument);
  return text;
}

inline std::string bulk(std::string_view text)
{
  return fmt::format("${}\r\n{}\r\n", text.size(), text);
}

inline std::string times(std::size_t n, std::string_view text)
{
  std::string all;
  for (std::size_t i = 0; i < n; ++i)
    all += text;
  return all;
}

}  // namespace sonde::redis
