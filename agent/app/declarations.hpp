// SPDX-License-Identifier: Apache-2.0
// Every setting there is: the agent's own table, the switches of each probe family and collector,
// and the tables of whoever reads settings. Flags, the configuration file and the reference are
// made from it.
#pragma once

#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/settings.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/probes/probe.hpp"

namespace sonde::app {

// A value that the configuration file or a flag gives. Points into the Declarations.
struct Assignment {
  const Setting* setting;
  Settings::Value value;
};

class Declarations {
public:
  using Table = std::span<const Setting>;

  // `tables`: those of neither a family nor a collector nor the agent itself.
  Declarations(std::span<const Family* const> families,
               std::span<const CollectorInfo* const> collectors,
               std::span<const Table> tables);
  Declarations(const Declarations&) = delete;
  Declarations& operator=(const Declarations&) = delete;

  // In the order in which an operator reads them.
  std::span<const Table> tables() const { return tables_; }
  const Setting* find(std::string_view key) const;
  // True for `web` when `web.listen-address` is a setting.
  bool is_section(std::string_view key) const;
  // All keys, sorted.
  std::vector<std::string_view> keys() const;

  // Defaults, then the configuration file's values, then the flags'; collector.disable-defaults
  // turns off every collector that nobody asked for.
  Result<Settings> settings(std::span<const Assignment> file,
                            std::span<const Assignment> flags) const;

private:
  void add_switch(std::vector<Setting>& table,
                  std::string_view prefix,
                  std::string_view name,
                  bool on,
                  std::string_view what);

  std::deque<std::string> texts_;  // keys and help of the switches
  std::vector<Setting> probes_;
  std::vector<Setting> collectors_;
  std::vector<Table> tables_;
  std::map<std::string_view, const Setting*, std::less<>> by_key_;
};

// The declarations of this build.
const Declarations& declarations();

// A value from its text, in the range that its reader accepts.
Result<Settings::Value> read_value(const Setting& setting, std::string_view text);
// The range alone: listen addresses, powers of two, ascending bounds.
Result<> accept_value(const Setting& setting, const Settings::Value& value);

}  // namespace sonde::app
