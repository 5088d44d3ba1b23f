// SPDX-License-Identifier: Apache-2.0
#include "agent/control/fields.hpp"

#include "agent/base/text.hpp"

namespace sonde::control {

namespace {

constexpr std::size_t kMostBytes = 256;

bool is_control(char c)
{
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

void blank_controls(std::string& text)
{
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_control(text[i]))
      text[i] = ' ';
    // C1: U+0080 to U+009F, which some terminals obey.
    if (text[i] == '\xc2' && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0)
      text[i] = text[i + 1] = ' ';
  }
}

}  // namespace

std::vector<std::string_view> split_fields(std::string_view line, std::size_t count)
{
  auto fields = split(line, '\t');
  if (fields.size() < count)
    fields.resize(count);
  return fields;
}

std::string join_fields(const std::vector<std::string>& fields)
{
  std::string line;
  for (const auto& field : fields) {
    auto word = valid_utf8(field, kMostBytes);
    blank_controls(word);
    line.append(line.empty() && &field == &fields.front() ? "" : "\t").append(word);
  }
  return line;
}

std::string printable(std::string_view text)
{
  if (text.empty())
    return "-";
  auto out = valid_utf8(text, kMostBytes);
  blank_controls(out);
  return out;
}

}  // namespace sonde::control
