// SPDX-License-Identifier: Apache-2.0
// Makes the body of one scrape: probes, collectors, then Sonde itself. Any thread; scrapes take
// turns.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "agent/app/node.hpp"
#include "agent/app/self_metrics.hpp"
#include "agent/collectors/registry.hpp"

namespace sonde::app {

class Scraper {
public:
  Scraper(Node& node, NodeCollectors& collectors, std::size_t max_lines)
      : node_(node), collectors_(collectors), max_lines_(max_lines)
  {
  }

  // `probes`: false when the scrape asked for certain collectors (collect[]) and nothing else; what
  // Sonde says of its probes is then left out too.
  std::string scrape(const CollectorFilter& filter, bool probes);

  // Takes note of how reading the configuration ended.
  void reloaded(bool successfully);

private:
  void collect_probes(metrics::Exposition& out, SelfState& self);

  Node& node_;
  NodeCollectors& collectors_;
  std::size_t max_lines_;
  std::mutex mutex_;
  Families collected_;  // keeps its memory between scrapes
  std::size_t last_bytes_ = 0;
  std::map<std::string, std::uint64_t> folded_;
  bool reload_successful_ = true;
  double reload_seconds_ = 0;
};

}  // namespace sonde::app
