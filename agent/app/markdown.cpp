// SPDX-License-Identifier: Apache-2.0
#include "agent/app/markdown.hpp"

#include <fmt/format.h>

namespace sonde::app {

std::string markdown_cell(std::string_view text)
{
  std::string out;
  for (const char c : text) {
    if (c == '|')
      out += "\\|";
    else if (c == '<')
      out += "&lt;";
    else
      out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::optional<std::string_view> block_of(std::string_view document, std::string_view name)
{
  const auto opening = fmt::format("<!-- {} -->\n", name);
  const auto closing = fmt::format("<!-- /{} -->", name);
  const auto begin = document.find(opening);
  if (begin == std::string_view::npos)
    return std::nullopt;
  const auto first = begin + opening.size();
  const auto end = document.find(closing, first);
  if (end == std::string_view::npos)
    return std::nullopt;
  return document.substr(first, end - first);
}

std::optional<std::string>
with_block(std::string_view document, std::string_view name, std::string_view lines)
{
  const auto block = block_of(document, name);
  if (!block)
    return std::nullopt;
  const auto before = static_cast<std::size_t>(block->data() - document.data());
  std::string out(document.substr(0, before));
  out.append(lines);
  out.append(document.substr(before + block->size()));
  return out;
}

}  // namespace sonde::app
