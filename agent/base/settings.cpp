// SPDX-License-Identifier: Apache-2.0
#include "agent/base/settings.hpp"

#include <array>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <limits>
#include <re2/re2.h>

#include "agent/base/text.hpp"

namespace sonde {

namespace {

[[noreturn]] void misuse(std::string_view key, const char* what)
{
  fmt::print(stderr, "setting {}: {}\n", key, what);
  std::abort();
}

struct Suffix {
  std::string_view text;
  double factor;
};

constexpr std::array<Suffix, 7> kDurationUnits = {
    {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}}};
constexpr std::array<Suffix, 7> kQuantityUnits = {{{"", 1},
                                                   {"k", 1e3},
                                                   {"M", 1e6},
                                                   {"G", 1e9},
                                                   {"Ki", 1024},
                                                   {"Mi", 1048576},
                                                   {"Gi", 1073741824}}};

// Takes a decimal number and its unit off `rest`.
std::optional<double> take_measure(std::string_view& rest, std::span<const Suffix> units)
{
  const auto digits = std::min(rest.find_first_not_of("0123456789."), rest.size());
  const auto number = parse_number<double>(rest.substr(0, digits));
  rest.remove_prefix(digits);
  const auto letters = std::min(rest.find_first_of("0123456789."), rest.size());
  const auto unit = rest.substr(0, letters);
  rest.remove_prefix(letters);
  if (!number)
    return std::nullopt;
  for (const auto& candidate : units)
    if (candidate.text == unit)
      return *number * candidate.factor;
  return std::nullopt;
}

template <typename T, typename Parse>
Result<Settings::Value> parse_list(std::string_view text, Parse parse)
{
  std::vector<T> items;
  for (auto word = take_word(text); !word.empty(); word = take_word(text))
    items.push_back(SONDE_TRY(parse(word)));
  return Settings::Value(std::move(items));
}

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text)
{
  double total = 0;
  auto rest = text;
  do {
    const auto part = take_measure(rest, kDurationUnits);
    if (!part)
      return fail(fmt::format("\"{}\" is not a duration such as 250us, 5m or 1h30m", text));
    total += *part;
  } while (!rest.empty());
  if (total >= 9.2e18)
    return fail(fmt::format("\"{}\" is longer than 292 years", text));
  return std::chrono::nanoseconds(std::llround(total));
}

Result<std::int64_t> parse_quantity(std::string_view text)
{
  if (const auto plain = parse_number<std::int64_t>(text))
    return *plain;
  auto rest = text;
  const auto value = take_measure(rest, kQuantityUnits);
  if (!value || !rest.empty() || *value >= 9.2e18)
    return fail(fmt::format("\"{}\" is not a whole number", text));
  return std::llround(*value);
}

Result<Settings::Value> parse_setting(const Setting& setting, std::string_view text)
{
  switch (setting.kind) {
  case SettingKind::kBool:
    if (text == "true" || text == "yes" || text == "on")
      return Settings::Value(true);
    if (text == "false" || text == "no" || text == "off")
      return Settings::Value(false);
    return fail(fmt::format("\"{}\" is neither true nor false", text));
  case SettingKind::kInteger:
    return Settings::Value(SONDE_TRY(parse_quantity(text)));
  case SettingKind::kNumber: {
    const auto value = parse_number<double>(text);
    if (!value || !std::isfinite(*value))
      return fail(fmt::format("\"{}\" is not a number", text));
    return Settings::Value(*value);
  }
  case SettingKind::kDuration:
    return Settings::Value(SONDE_TRY(parse_duration(text)));
  case SettingKind::kRegex: {
    const RE2 pattern(re2::StringPiece(text.data(), text.size()), RE2::Quiet);
    if (!pattern.ok())
      return fail(fmt::format("\"{}\" is not a regular expression: {}", text, pattern.error()));
    return Settings::Value(std::string(text));
  }
  case SettingKind::kText:
    return Settings::Value(std::string(text));
  case SettingKind::kTexts:
    return parse_list<std::string>(
        text, [](std::string_view word) -> Result<std::string> { return std::string(word); });
  case SettingKind::kDurations:
    return parse_list<std::chrono::nanoseconds>(text, parse_duration);
  case SettingKind::kIntegers:
    return parse_list<std::int64_t>(text, parse_quantity);
  case SettingKind::kRecords:
    break;
  }
  if (!text.empty())
    return fail("records can only be given in the configuration file");
  return Settings::Value(std::vector<Record>{});
}

Result<Settings> Settings::defaults(std::span<const std::span<const Setting>> tables)
{
  Settings settings;
  for (const auto table : tables)
    for (const auto& setting : table) {
      auto value = parse_setting(setting, setting.fallback);
      if (!value)
        return Failure(std::move(value).error().in(fmt::format("default of {}", setting.key)));
      settings.set(setting, *std::move(value), false);
    }
  return settings;
}

void Settings::set(const Setting& setting, Value value, bool given)
{
  entries_.insert_or_assign(std::string(setting.key), Entry{std::move(value), given});
}

bool Settings::given(std::string_view key) const
{
  const auto found = entries_.find(key);
  return found != entries_.end() && found->second.given;
}

template <typename T>
const T& Settings::get(std::string_view key) const
{
  const auto found = entries_.find(key);
  if (found == entries_.end())
    misuse(key, "not declared");
  const auto* value = std::get_if<T>(&found->second.value);
  if (value == nullptr)
    misuse(key, "read with another type");
  return *value;
}

bool Settings::flag(std::string_view key) const
{
  return get<bool>(key);
}
std::int64_t Settings::integer(std::string_view key) const
{
  return get<std::int64_t>(key);
}
double Settings::number(std::string_view key) const
{
  return get<double>(key);
}
std::chrono::nanoseconds Settings::duration(std::string_view key) const
{
  return get<std::chrono::nanoseconds>(key);
}
const std::string& Settings::text(std::string_view key) const
{
  return get<std::string>(key);
}
const std::vector<std::string>& Settings::texts(std::string_view key) const
{
  return get<std::vector<std::string>>(key);
}
const std::vector<std::chrono::nanoseconds>& Settings::durations(std::string_view key) const
{
  return get<std::vector<std::chrono::nanoseconds>>(key);
}
const std::vector<std::int64_t>& Settings::integers(std::string_view key) const
{
  return get<std::vector<std::int64_t>>(key);
}
const std::vector<Record>& Settings::records(std::string_view key) const
{
  return get<std::vector<Record>>(key);
}

}  // namespace sonde
