// SPDX-License-Identifier: Apache-2.0
// One live process as /proc shows it, in the shape that naming wants.
#pragma once

#include <string>

#include "agent/proc/naming.hpp"
#include "agent/proc/procfs.hpp"

namespace sonde::proc {

// Owns the text that its traits refer to; not to be moved.
class Inspection {
public:
  Inspection(const ProcFs& procfs, std::uint32_t tgid, std::string comm);
  Inspection(const Inspection&) = delete;
  Inspection& operator=(const Inspection&) = delete;

  const Traits& traits() const { return traits_; }

private:
  std::string link_to_executable(const ProcFs& procfs, std::uint32_t tgid) const;

  std::string comm_;
  std::string executable_;
  std::string arguments_;
  std::string environment_;
  std::string link_name_;
  Traits traits_;
};

// The variable that names a service, and the paths in /proc/PID/cgroup joined for rules.
inline constexpr std::string_view kNameVariable = "OTEL_SERVICE_NAME";
std::string cgroup_paths(std::string_view cgroup_file);
std::string_view base_name(std::string_view path);

}  // namespace sonde::proc
