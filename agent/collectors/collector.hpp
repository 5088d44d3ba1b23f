// SPDX-License-Identifier: Apache-2.0
// A node collector: reads procfs or sysfs at each scrape and gives node_exporter's families.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/settings.hpp"
#include "agent/metrics/desc.hpp"
#include "agent/metrics/families.hpp"

namespace sonde {

// Where the node's file systems are seen from; injected, so tests point them at fixtures.
struct Paths {
  std::filesystem::path procfs = "/proc";
  std::filesystem::path sysfs = "/sys";
  std::filesystem::path rootfs = "/";
  std::filesystem::path udev_data = "/run/udev/data";

  std::filesystem::path proc(std::string_view name) const { return procfs / name; }
  std::filesystem::path sys(std::string_view name) const { return sysfs / name; }
  // The network namespace of the node, not of Sonde's own pod: PID 1's; Sonde's own where PID 1 is
  // hidden (hidepid).
  std::filesystem::path net(std::string_view name) const;
};

using metrics::Families;

class Sources;

class Collector {
public:
  Collector() = default;
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;
  virtual ~Collector() = default;

  // Appends this collector's families; one without samples is not exposed. An error fails this
  // collector alone; what it appended before is still exposed. An error with the code ENODATA means
  // that this kernel has nothing to tell. Calls never overlap; they come from changing threads.
  virtual Result<> collect(Families& out) = 0;
};

// One line of collectors.def: the constant each collector's file defines.
struct CollectorInfo {
  std::string_view name;
  bool enabled;  // unless --no-collector.<name>
  // Fails on a setting that cannot be used (include and exclude together). `sources` outlives the
  // collector.
  Result<std::unique_ptr<Collector>> (*create)(const Paths& paths,
                                               const Settings& settings,
                                               Sources& sources);
  std::span<const metrics::Desc>
      metrics;  // the catalogue; families named by the kernel as a pattern
  std::span<const Setting> settings = {};
};

std::span<const CollectorInfo* const> collectors();

}  // namespace sonde
