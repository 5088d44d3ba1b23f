// SPDX-License-Identifier: Apache-2.0
// From what is known of a process to the name of its service; pure. First hit wins: a rule of the
// configuration, OTEL_SERVICE_NAME, container, systemd unit, and for one that listens its
// application: the executable, or the script, module or jar an interpreter runs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/settings.hpp"
#include "agent/proc/cgroup.hpp"

namespace re2 {
class RE2;
}

namespace sonde::proc {

// What decides a name. Views are valid as long as whatever they were read from.
struct Traits {
  std::string_view executable;  // path
  std::string_view exe_name;    // its file name, links resolved
  std::string_view link_name;   // the name it was started by, where that is a link to it
  std::string_view comm;
  std::vector<std::string_view> arguments;
  std::string_view declared_name;  // OTEL_SERVICE_NAME
  Cgroup cgroup;
  std::string cgroup_path;
};

// services.rules: every given pattern must match somewhere; \1 in the name is the capture of the
// first given pattern in the order exe, args, cgroup, unit, container.
class NamingRules {
public:
  static Result<NamingRules> compile(const std::vector<Record>& records);

  std::optional<std::string> match(const Traits& traits) const;
  bool empty() const { return rules_.empty(); }

private:
  struct Pattern {
    std::size_t subject;
    std::shared_ptr<const re2::RE2> regex;  // rules are copied with their settings
  };
  struct Rule {
    std::string name;
    std::vector<Pattern> patterns;
  };

  std::vector<Rule> rules_;
};

// The name by everything but the application; "" when nothing says.
std::string placed_name(const Traits& traits, const NamingRules& rules);

// What the process runs: "redis-server", "app.py", "gunicorn", "server.jar".
std::string application_name(const Traits& traits);

}  // namespace sonde::proc
