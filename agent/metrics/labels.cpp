// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics/labels.hpp"

#include <algorithm>

#include "agent/base/text.hpp"
#include "agent/metrics/desc.hpp"

namespace sonde::metrics {

std::string_view name_of(Type type)
{
  switch (type) {
  case Type::kCounter:
    return "counter";
  case Type::kGauge:
    return "gauge";
  case Type::kHistogram:
    return "histogram";
  case Type::kSummary:
    return "summary";
  case Type::kUntyped:
    break;
  }
  return "untyped";
}

void append_escaped(std::string& out, std::string_view value, std::size_t limit)
{
  const auto plain = [](char c) {
    return static_cast<unsigned char>(c) < 0x80 && c != '\\' && c != '"' && c != '\n';
  };
  if (value.size() <= limit && std::ranges::all_of(value, plain)) {
    out += value;
    return;
  }
  for (const char c : valid_utf8(value, limit)) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '"')
      out += "\\\"";
    else if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
}

void repair_name(std::string& text, std::size_t begin, bool colon)
{
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto fine = [&](char c) {
    return (c >= 'a' && c <= 'z') || c == '_' || digit(c) || (c >= 'A' && c <= 'Z') ||
           (colon && c == ':');
  };
  std::ranges::replace_if(
      text.begin() + static_cast<std::ptrdiff_t>(begin),
      text.end(),
      [&](char c) { return !fine(c); },
      '_');
  if (text.size() == begin || digit(text[begin]))
    text.insert(begin, 1, '_');
}

std::string escape_label(std::string_view value, std::size_t limit)
{
  std::string out;
  append_escaped(out, value, limit);
  return out;
}

std::string label_block(std::initializer_list<std::pair<std::string_view, std::string_view>> labels)
{
  std::string block;
  for (const auto& [name, value] : labels) {
    if (!block.empty())
      block += ',';
    block.append(name).append("=\"");
    append_escaped(block, value, kMaxLabelBytes);
    block += '"';
  }
  return block;
}

}  // namespace sonde::metrics
