// SPDX-License-Identifier: Apache-2.0
// Which devices, mount points or file system types a collector shows: node_exporter's pairs of
// exclude and include flags.
#pragma once

#include <memory>
#include <re2/re2.h>
#include <string_view>

#include "agent/base/result.hpp"
#include "agent/base/settings.hpp"

namespace sonde {

class NameFilter {
public:
  // The keys of one filter; a key that the collector does not have is empty.
  struct Keys {
    std::string_view exclude;
    std::string_view include;
    std::string_view old_exclude = {};  // deprecated spellings
    std::string_view old_include = {};
  };

  // Fails when both were given, or a flag together with its deprecated spelling. An include alone
  // replaces the default exclude.
  static Result<NameFilter> create(const Settings& settings, const Keys& keys);

  bool ignored(std::string_view name) const;

private:
  // Unanchored, as Go's MatchString. Null: not asked.
  std::unique_ptr<const RE2> exclude_;
  std::unique_ptr<const RE2> include_;
};

// RE2 takes its own string type.
bool matches(const RE2& pattern, std::string_view text);

}  // namespace sonde
