// SPDX-License-Identifier: Apache-2.0
// Typed configuration values. Whoever reads a setting declares it in a constexpr table; the YAML
// file, the command line and the documentation are all made from those tables.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/base/result.hpp"

namespace sonde {

enum class SettingKind : std::uint8_t {
  kBool,
  kInteger,   // with k, M, G suffixes of 1000 or Ki, Mi, Gi of 1024
  kNumber,    // a decimal fraction
  kDuration,  // 250us, 5m, 1h30m
  kText,
  kRegex,      // RE2; checked when read
  kTexts,      // a list
  kDurations,  // a list
  kIntegers,   // a list
  kRecords,    // a list of flat maps with the keys named in Setting::fields
};

struct Setting {
  std::string_view
      key;  // dotted: "run_queue.bounds"; nested maps in YAML, --key on the command line
  SettingKind kind;
  std::string_view fallback;  // the default, as it would be written; lists separated by blanks
  std::string_view help;
  // Separated by blanks. Of kRecords: the names each map may have. Of kText: the words it may be.
  std::string_view fields = {};
  bool reloads = false;          // a new value takes effect on reload, without restart
};

using Record = std::map<std::string, std::string, std::less<>>;

// An immutable set of values, one for every declared setting. Reading an undeclared key or with
// the wrong type is a programming error and ends the process with its name.
class Settings {
public:
  using Value = std::variant<bool,
                             std::int64_t,
                             double,
                             std::chrono::nanoseconds,
                             std::string,
                             std::vector<std::string>,
                             std::vector<std::chrono::nanoseconds>,
                             std::vector<std::int64_t>,
                             std::vector<Record>>;

  // All defaults of the tables.
  static Result<Settings> defaults(std::span<const std::span<const Setting>> tables);

  bool flag(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  std::chrono::nanoseconds duration(std::string_view key) const;
  const std::string& text(std::string_view key) const;  // kText and kRegex
  const std::vector<std::string>& texts(std::string_view key) const;
  const std::vector<std::chrono::nanoseconds>& durations(std::string_view key) const;
  const std::vector<std::int64_t>& integers(std::string_view key) const;
  const std::vector<Record>& records(std::string_view key) const;

  // True when the file or the command line gave the value.
  bool given(std::string_view key) const;

  void set(const Setting& setting, Value value, bool given);

private:
  struct Entry {
    Value value;
    bool given = false;
  };

  template <typename T>
  const T& get(std::string_view key) const;

  std::map<std::string, Entry, std::less<>> entries_;
};

// A value from its text: one scalar, or list items separated by blanks. kRecords only when empty.
Result<Settings::Value> parse_setting(const Setting& setting, std::string_view text);

// "250us", "1.5s", "5m", "1h30m"; a bare number is refused.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);
Result<std::int64_t> parse_quantity(std::string_view text);

}  // namespace sonde
