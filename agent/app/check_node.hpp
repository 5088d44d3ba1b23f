// SPDX-License-Identifier: Apache-2.0
// The part of `sonde check` that looks at the kernel and at what this process may do. Everything it
// reads is below the given paths, or given.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/app/check.hpp"
#include "agent/collectors/collector.hpp"

namespace sonde::app {

struct KernelVersion {
  unsigned major = 0;
  unsigned minor = 0;

  auto operator<=>(const KernelVersion&) const = default;
};

// "6.1.0-18-amd64" is 6.1.
std::optional<KernelVersion> parse_kernel_version(std::string_view release);

struct Node {
  Paths paths;
  std::string release;  // uname -r
  std::string machine;  // uname -m
  std::uint64_t memlock_bytes = 0;
  double max_cpu_ratio = 0;  // bpf.max-cpu-ratio
};

std::vector<Finding> check_node(const Node& node);

Finding check_kernel(const Node& node);
Finding check_types(const Node& node);
Finding check_lockdown(const Node& node);
std::vector<Finding> check_privileges(const Node& node);
Finding check_memlock(const Node& node);
Finding check_cgroups(const Node& node);
Finding check_pid_namespace(const Node& node);
Finding check_tracefs(const Node& node);
std::vector<Finding> check_sysctls(const Node& node);

}  // namespace sonde::app
