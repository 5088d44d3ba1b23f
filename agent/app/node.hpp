// SPDX-License-Identifier: Apache-2.0
// Everything that watches this node: event loop, shared maps, services and probes, in the order of
// their lifetimes. What cannot be had is reported in hooks() and left out.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/base/event_loop.hpp"
#include "agent/base/result.hpp"
#include "agent/base/settings.hpp"
#include "agent/bpf/facts.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/collectors/collector.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/hooks.hpp"
#include "agent/probes/outliers.hpp"
#include "agent/probes/probe.hpp"

namespace sonde {
class DiscoveredServices;
}

namespace sonde::app {

class Node {
public:
  struct Running {
    const Family* family;
    Host host;
    std::unique_ptr<Probe> probe;
    std::vector<int> programs;  // descriptors, for their costs
  };

  // Attaches all enabled families. Fails only without an event loop; a node where nothing attaches
  // is a node without probes.
  static Result<std::unique_ptr<Node>> create(const Settings& settings, const Paths& paths);
  ~Node();

  EventLoop& loop() { return *loop_; }
  const Hooks& hooks() const { return hooks_; }
  Outliers& outliers() { return outliers_; }
  // Null where BPF is not to be had.
  DiscoveredServices* services() { return services_.get(); }
  const bpf::SharedMaps* maps() const { return maps_.get(); }
  const Executables* executables() const { return executables_.get(); }
  // Only under probes_mutex(): a scrape holds it while it collects, and so does detach().
  std::vector<std::unique_ptr<Running>>& probes() { return probes_; }
  std::mutex& probes_mutex() { return probes_mutex_; }
  // What the tap knows of sockets, null without it. On the loop's thread.
  protocols::Connections* connections() const;
  // Ends one family for good and reports why. On the loop's thread.
  void detach(const Family& family, const std::string& why);

  // Takes over what reloads. On the loop's thread.
  void apply(const Settings& settings);

  // The first probe whose own events have not come through yet; on the loop's thread.
  Result<> self_check();

private:
  explicit Node(const Settings& settings);
  Result<> prepare_bpf(const Paths& paths);
  void start_family(const Family& family, std::uint16_t number);
  void keep_outlier(const sonde_outlier& outlier);

  const Settings& settings_;
  Hooks hooks_;
  Outliers outliers_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<bpf::SharedMaps> maps_;
  std::unique_ptr<Facts> facts_;
  std::unique_ptr<DiscoveredServices> services_;
  std::unique_ptr<Executables> executables_;
  std::mutex probes_mutex_;
  std::vector<std::unique_ptr<Running>> probes_;
};

}  // namespace sonde::app
