// SPDX-License-Identifier: Apache-2.0
// What a cgroup path says of a process: its container and its systemd unit. Pure, over the paths
// that container runtimes and systemd make in both versions of cgroups.
#pragma once

#include <string>
#include <string_view>

namespace sonde::proc {

struct Cgroup {
  std::string container;  // 64 hex digits, or the name of an LXC or nspawn container
  std::string pod;        // UID of the Kubernetes pod
  std::string unit;       // innermost systemd service without ".service"; not inside a container

  // What a service is called after its container: 12 digits, as `docker ps` prints.
  std::string_view short_container() const;
  bool operator==(const Cgroup&) const = default;
};

// One path: "/system.slice/docker-<id>.scope". Relative parts ("/../") of a reader that lives in a
// cgroup namespace do not matter.
Cgroup parse_cgroup_path(std::string_view path);

// /proc/PID/cgroup. Where the hierarchies disagree (hybrids), whichever knows a container wins, the
// unified one first.
Cgroup parse_cgroup_file(std::string_view text);

// The same choice for two paths.
Cgroup choose_cgroup(Cgroup unified, Cgroup memory);

}  // namespace sonde::proc
