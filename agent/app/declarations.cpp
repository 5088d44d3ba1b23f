// SPDX-License-Identifier: Apache-2.0
#include "agent/app/declarations.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

#include "agent/base/text.hpp"
#include "agent/metrics/bounds.hpp"
#include "agent/web/parse.hpp"

namespace sonde::app {

namespace {

using Value = Settings::Value;

constexpr std::string_view kDisableDefaults = "collector.disable-defaults";

constexpr Setting kAgentSettings[] = {
    {"web.listen-address",
     SettingKind::kTexts,
     ":7663",
     "addresses to serve /metrics and the landing page on"},
    {"web.telemetry-path", SettingKind::kText, "/metrics", "path of the metrics"},
    {"web.max-requests",
     SettingKind::kInteger,
     "40",
     "scrapes answered at the same time, the next one gets 503; 0: no limit"},
    {"control.socket",
     SettingKind::kText,
     "/run/sonde/control.sock",
     "where `sonde tail` and `sonde explain` ask the running agent; empty: nowhere"},
    {"log.level",
     SettingKind::kText,
     "info",
     "least severe messages logged",
     "debug info warn error",
     true},
    {"log.format", SettingKind::kText, "logfmt", "format of log lines", "logfmt json", true},
    {"path.procfs", SettingKind::kText, "/proc", "where the node's procfs is mounted"},
    {"path.sysfs", SettingKind::kText, "/sys", "where the node's sysfs is mounted"},
    {"path.rootfs", SettingKind::kText, "/", "where the node's root file system is mounted"},
    {"path.udev.data", SettingKind::kText, "/run/udev/data", "where udev keeps its data"},
    {"series.max",
     SettingKind::kInteger,
     "40000",
     "most sample lines of one scrape; what comes after is folded and counted"},
    {"facts.ring-bytes",
     SettingKind::kInteger,
     "2Mi",
     "size of the ring for exec, exit and outlier records; a power of two"},
    {"outliers.keep", SettingKind::kInteger, "256", "outliers kept for the page and /outliers"},
    {"bpf.max-cpu-ratio",
     SettingKind::kNumber,
     "0",
     "most CPU time of all BPF programs together, as a fraction of one core; above it the dearest "
     "family is detached and says so; 0: no limit"},
};

// Whether it succeeded; the value does not matter.
template <typename T>
Result<> outcome(Result<T> result)
{
  if (!result)
    return Failure(std::move(result).error());
  return {};
}

Result<> in_range(const Value& value, std::int64_t low, std::int64_t high)
{
  const auto number = std::get<std::int64_t>(value);
  if (number < low || number > high)
    return fail(fmt::format("{} is not between {} and {}", number, low, high));
  return {};
}

Result<> accept_path(const Value& value)
{
  if (std::get<std::string>(value).empty())
    return fail("a path cannot be empty");
  return {};
}

// What fits into an address of AF_UNIX.
Result<> accept_socket_path(const Value& value)
{
  const auto& path = std::get<std::string>(value);
  if (!path.empty() && (path.front() != '/' || path.size() > 107))
    return fail(fmt::format("\"{}\" is not an absolute path of at most 107 bytes", path));
  return {};
}

Result<> accept_telemetry_path(const Value& value)
{
  const auto& path = std::get<std::string>(value);
  if (path.size() < 2 || path.front() != '/' || path.starts_with("/-/") ||
      path.find_first_of(" \t\r\n?#%") != std::string::npos)
    return fail(fmt::format("\"{}\" is not a path such as /metrics", path));
  return {};
}

Result<> accept_listen_addresses(const Value& value)
{
  const auto& addresses = std::get<std::vector<std::string>>(value);
  if (addresses.empty())
    return fail("at least one address is needed");
  for (const auto& address : addresses)
    SONDE_TRY(outcome(web::parse_listen_address(address)));
  return {};
}

Result<> accept_ring_bytes(const Value& value)
{
  const auto bytes = std::get<std::int64_t>(value);
  if (bytes < 64 << 10 || bytes > 1 << 30 ||
      !std::has_single_bit(static_cast<std::uint64_t>(bytes)))
    return fail(fmt::format("{} is not a power of two between 64Ki and 1Gi", bytes));
  return {};
}

Result<> accept_cpu_ratio(const Value& value)
{
  const auto ratio = std::get<double>(value);
  if (ratio < 0 || ratio > 64)
    return fail(fmt::format("{} is not between 0 and 64", ratio));
  return {};
}

struct Rule {
  std::string_view key;
  Result<> (*accept)(const Value&);
};

constexpr Rule kRules[] = {
    {"web.listen-address", accept_listen_addresses},
    {"web.telemetry-path", accept_telemetry_path},
    {"control.socket", accept_socket_path},
    {"web.max-requests", [](const Value& value) { return in_range(value, 0, 10'000); }},
    {"path.procfs", accept_path},
    {"path.sysfs", accept_path},
    {"path.rootfs", accept_path},
    {"path.udev.data", accept_path},
    {"series.max", [](const Value& value) { return in_range(value, 1'000, 10'000'000); }},
    {"outliers.keep", [](const Value& value) { return in_range(value, 1, 10'000); }},
    {"bpf.max-cpu-ratio", accept_cpu_ratio},
};

Result<> accept_word(std::string_view words, const std::string& text)
{
  std::vector<std::string_view> known;
  for (auto word = take_word(words); !word.empty(); word = take_word(words))
    known.push_back(word);
  if (std::ranges::find(known, text) != known.end())
    return {};
  const auto guess = nearest(std::string_view(text).substr(0, 100), known);
  return fail(fmt::format("\"{}\" is none of {}{}",
                          text,
                          fmt::join(known, ", "),
                          guess ? fmt::format(", did you mean {}?", *guess) : ""));
}

// The kernel compares against bounds by binary search: ascending, distinct, as many as fit.
template <typename T>
Result<> accept_bounds(const std::vector<T>& bounds)
{
  std::vector<std::uint64_t> values;
  for (const auto& bound : bounds) {
    const auto value = [&] {
      if constexpr (std::is_integral_v<T>)
        return std::int64_t{bound};
      else
        return std::int64_t{bound.count()};
    }();
    if (value < 0)
      return fail("a bound cannot be negative");
    values.push_back(static_cast<std::uint64_t>(value));
  }
  return outcome(metrics::Bounds::create(values, 1));
}

}  // namespace

void Declarations::add_switch(std::vector<Setting>& table,
                              std::string_view prefix,
                              std::string_view name,
                              bool on,
                              std::string_view what)
{
  const auto& key = texts_.emplace_back(fmt::format("{}.{}", prefix, name));
  const auto& help = texts_.emplace_back(fmt::format("the {} {}", name, what));
  table.push_back({key, SettingKind::kBool, on ? "true" : "false", help});
}

Declarations::Declarations(std::span<const Family* const> families,
                           std::span<const CollectorInfo* const> collectors,
                           std::span<const Table> tables)
{
  for (const auto* family : families)
    add_switch(probes_, "probe", family->name, true, "probe family");
  collectors_.push_back({kDisableDefaults,
                         SettingKind::kBool,
                         "false",
                         "only the collectors that are switched on by name"});
  for (const auto* collector : collectors)
    add_switch(collectors_, "collector", collector->name, collector->enabled, "collector");

  tables_.emplace_back(kAgentSettings);
  tables_.insert(tables_.end(), tables.begin(), tables.end());
  tables_.emplace_back(probes_);
  for (const auto* family : families)
    tables_.push_back(family->settings);
  tables_.emplace_back(collectors_);
  for (const auto* collector : collectors)
    tables_.push_back(collector->settings);
  std::erase_if(tables_, [](Table table) { return table.empty(); });
  for (const auto table : tables_)
    for (const auto& setting : table)
      by_key_.emplace(setting.key, &setting);
}

const Setting* Declarations::find(std::string_view key) const
{
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

bool Declarations::is_section(std::string_view key) const
{
  const auto prefix = fmt::format("{}.", key);
  const auto first = by_key_.lower_bound(prefix);
  return first != by_key_.end() && first->first.starts_with(prefix);
}

std::vector<std::string_view> Declarations::keys() const
{
  std::vector<std::string_view> keys;
  for (const auto& [key, setting] : by_key_)
    keys.push_back(key);
  return keys;
}

Result<Settings> Declarations::settings(std::span<const Assignment> file,
                                        std::span<const Assignment> flags) const
{
  auto settings = SONDE_TRY(Settings::defaults(tables_));
  for (const auto assignments : {file, flags})
    for (const auto& assignment : assignments)
      settings.set(*assignment.setting, assignment.value, true);
  if (settings.flag(kDisableDefaults))
    for (const auto& collector : collectors_)
      if (!settings.given(collector.key))
        settings.set(collector, Value(false), false);
  return settings;
}

Result<> accept_value(const Setting& setting, const Value& value)
{
  if (setting.kind == SettingKind::kText && !setting.fields.empty())
    return accept_word(setting.fields, std::get<std::string>(value));
  for (const auto& rule : kRules)
    if (rule.key == setting.key)
      return rule.accept(value);
  if (setting.key.ends_with(".ring-bytes")) {
    const auto* bytes = std::get_if<std::int64_t>(&value);
    // 0 where the default is: chosen by the agent.
    const bool chosen = bytes != nullptr && *bytes == 0 && setting.fallback == "0";
    return chosen ? Result<>() : accept_ring_bytes(value);
  }
  if (setting.key.ends_with("bounds")) {
    if (const auto* bounds = std::get_if<std::vector<std::chrono::nanoseconds>>(&value))
      return accept_bounds(*bounds);
    if (const auto* bounds = std::get_if<std::vector<std::int64_t>>(&value))
      return accept_bounds(*bounds);
  }
  return {};
}

Result<Value> read_value(const Setting& setting, std::string_view text)
{
  auto value = SONDE_TRY(parse_setting(setting, text));
  if (auto accepted = accept_value(setting, value); !accepted)
    return Failure(std::move(accepted).error());
  return value;
}

}  // namespace sonde::app
