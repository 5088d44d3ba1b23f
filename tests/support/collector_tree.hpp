// SPDX-License-Identifier: Apache-2.0
// A procfs, sysfs, root file system and udev data of a test's own, and collectors that read them.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "agent/collectors/registry.hpp"

namespace sonde::testing {

class CollectorTree {
public:
  // Under the system's temporary folder; gone with the object.
  CollectorTree();
  ~CollectorTree();
  CollectorTree(const CollectorTree&) = delete;
  CollectorTree& operator=(const CollectorTree&) = delete;

  // `path` begins with proc/, sys/, rootfs/ or udev/. Writes into the file that is there, as the
  // kernel changes what a file says.
  void write(std::string_view path, std::string_view text) const;
  void remove(std::string_view path) const;

  Paths paths() const { return paths_in(root_); }
  std::string path(std::string_view name) const { return (root_ / name).string(); }
  static Paths paths_in(const std::filesystem::path& root);

private:
  std::filesystem::path root_;
};

using GivenSettings = std::initializer_list<std::pair<std::string_view, std::string_view>>;

// The defaults of all collectors and of their switches, but those given.
Settings collector_settings(GivenSettings given = {});

// One collector; fails the test when it cannot be made.
std::unique_ptr<NodeCollectors>
one_collector(std::string_view name, const Paths& paths, GivenSettings given = {});

// One scrape without node_scrape_collector_duration_seconds, as /metrics prints it.
std::string scrape(NodeCollectors& collectors, const CollectorFilter& filter = {});

// The lines of a scrape that are no comments and not node_scrape_*.
std::string samples(NodeCollectors& collectors);

// What a collector that has only this file says about it: the error of one collect().
std::string error_of(std::string_view collector, const Paths& paths, GivenSettings given = {});

}  // namespace sonde::testing
