// SPDX-License-Identifier: Apache-2.0
#include "agent/app/reference.hpp"

#include <fmt/format.h>

#include "agent/app/markdown.hpp"
#include "agent/base/text.hpp"

namespace sonde::app {

namespace {

constexpr std::size_t kHelpColumn = 8;
constexpr std::size_t kHelpWidth = 100;

constexpr std::string_view kUsage =
    R"(Sonde observes the services of a node from the kernel, for Prometheus.

Usage: sonde [COMMAND] [flags]

Commands:
  run                  observe and serve /metrics (the default)
      --dry-run        print what would be attached and which services exist, then end
  check                what this node has, lacks, and what to do about it
      --json           one JSON document
  metrics              every metric family
      --markdown       as the table in README.md
  tail [PROTOCOL]      every request that the running agent sees: all, http, sql, redis or a protocol
      --service=NAME   of this service only
      --status=STATUS  with this status only: 503, or 5xx for the class
      --limit=NUMBER   end after so many lines
      --json           one JSON document each
  explain PID|SERVICE  what the running agent sees of it, and why it does not see the rest
      --json           one JSON document
  config check FILE    whether a configuration file is valid
  version              version, build and libraries
  help                 this text

General flags:
  --config.file=FILE   read settings from a YAML file: the names below are its keys, nested or dotted
  -h, --help           this text
  --version            as `sonde version`

Settings. A flag goes before the file, the file before the default. Of a switch --NAME, --no-NAME and
--NAME=true|false are understood; web.listen-address and other lists may be given several times.
Durations are written 250us, 5m or 1h30m, numbers 40k, 2Mi.
)";

std::string_view placeholder(SettingKind kind)
{
  switch (kind) {
  case SettingKind::kBool:
    return "";
  case SettingKind::kInteger:
  case SettingKind::kNumber:
    return "=NUMBER";
  case SettingKind::kDuration:
    return "=DURATION";
  case SettingKind::kText:
    return "=TEXT";
  case SettingKind::kRegex:
    return "=REGEX";
  case SettingKind::kTexts:
    return "=TEXT...";
  case SettingKind::kDurations:
    return "=\"DURATION...\"";
  case SettingKind::kIntegers:
    return "=\"NUMBER...\"";
  case SettingKind::kRecords:
    return " (file only)";
  }
  return "";
}

std::string_view type_name(SettingKind kind)
{
  switch (kind) {
  case SettingKind::kBool:
    return "true or false";
  case SettingKind::kInteger:
    return "whole number";
  case SettingKind::kNumber:
    return "number";
  case SettingKind::kDuration:
    return "duration";
  case SettingKind::kText:
    return "text";
  case SettingKind::kRegex:
    return "regular expression";
  case SettingKind::kTexts:
    return "list";
  case SettingKind::kDurations:
    return "list of durations";
  case SettingKind::kIntegers:
    return "list of numbers";
  case SettingKind::kRecords:
    return "list of maps";
  }
  return "";
}

// Words filled into lines that start at kHelpColumn.
void append_wrapped(std::string& out, std::string_view text)
{
  std::size_t column = 0;
  for (auto word = take_word(text); !word.empty(); word = take_word(text)) {
    if (column == 0 || column + 1 + word.size() > kHelpWidth) {
      out += column == 0 ? "" : "\n";
      out.append(kHelpColumn, ' ');
      column = kHelpColumn;
    } else {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  out += '\n';
}

std::string_view section_of(std::string_view key)
{
  return key.substr(0, key.find('.'));
}

// "; one of debug, info" each word between quotes.
std::string fields_of(const Setting& setting, std::string_view quote)
{
  std::string out;
  auto rest = setting.fields;
  for (auto word = take_word(rest); !word.empty(); word = take_word(rest)) {
    if (out.empty())
      out = setting.kind == SettingKind::kRecords ? "; keys of each map: " : "; one of ";
    else
      out += ", ";
    out.append(quote).append(word).append(quote);
  }
  return out;
}

void append_setting(std::string& out, const Setting& setting)
{
  const bool is_switch = setting.kind == SettingKind::kBool;
  out +=
      fmt::format("  --{}{}{}\n", is_switch ? "[no-]" : "", setting.key, placeholder(setting.kind));
  std::string text(setting.help);
  if (is_switch)
    text += setting.fallback == "true" ? " (on)" : " (off)";
  else if (!setting.fallback.empty())
    text += fmt::format(" ({})", setting.fallback);
  text += fields_of(setting, "");
  append_wrapped(out, text);
}

}  // namespace

std::string help_text(const Declarations& declared)
{
  std::string out(kUsage);
  std::string_view section;
  for (const auto table : declared.tables())
    for (const auto& setting : table) {
      if (section_of(setting.key) != section) {
        section = section_of(setting.key);
        out += fmt::format("\n{}:\n", section);
      }
      append_setting(out, setting);
    }
  return out;
}

std::string settings_markdown(const Declarations& declared)
{
  std::string out = "| key | type | default | reload | what |\n|---|---|---|---|---|\n";
  for (const auto table : declared.tables())
    for (const auto& setting : table) {
      const auto fallback = setting.fallback.empty()
                                ? std::string()
                                : fmt::format("`{}`", markdown_cell(setting.fallback));
      const auto what = markdown_cell(setting.help) + fields_of(setting, "`");
      out += fmt::format("| `{}` | {} | {} | {} | {} |\n",
                         setting.key,
                         type_name(setting.kind),
                         fallback,
                         setting.reloads ? "yes" : "restart",
                         what);
    }
  return out;
}

}  // namespace sonde::app
