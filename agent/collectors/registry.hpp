// SPDX-License-Identifier: Apache-2.0
// All enabled collectors of this node: runs them for a scrape, one after the other, and says how
// each of them went. Owned by the app; any thread may scrape.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/collectors/collector.hpp"
#include "agent/collectors/sources.hpp"

namespace sonde {

// Which collectors a scrape runs; empty: all enabled ones.
using CollectorFilter = std::set<std::string, std::less<>>;

struct CollectorState {
  std::string_view name;
  bool enabled;
};

// What ?collect[]= and ?exclude[]= ask for. The message of an error is the body of the answer 400,
// word for word node_exporter's.
Result<CollectorFilter> make_filter(std::span<const CollectorState> states,
                                    std::span<const std::string> collect,
                                    std::span<const std::string> exclude);

class NodeCollectors {
  struct Token {};  // only create() constructs

public:
  NodeCollectors(Token, const Paths& paths) : sources_(paths) {}

  // Collectors whose setting collector.<name> is true. Fails on settings that contradict each
  // other.
  static Result<std::unique_ptr<NodeCollectors>>
  create(const Paths& paths,
         const Settings& settings,
         std::span<const CollectorInfo* const> infos = collectors());

  Result<CollectorFilter> make_filter(std::span<const std::string> collect,
                                      std::span<const std::string> exclude) const
  {
    return sonde::make_filter(states_, collect, exclude);
  }
  std::span<const CollectorState> states() const { return states_; }

  // Adds the families of the collectors that the filter names, and node_scrape_collector_*.
  void collect(Families& out, const CollectorFilter& filter = {});

private:
  struct Running {
    std::string_view name;
    std::unique_ptr<Collector> collector;
    std::set<std::string, std::less<>> logged;  // failures that the log already has
  };

  static void log_failure(Running& running, const Error& error);

  std::vector<CollectorState> states_;
  std::mutex mutex_;
  Sources sources_;
  std::vector<Running> running_;
};

// The families that NodeCollectors adds of its own.
std::span<const metrics::Desc> scrape_metrics();

}  // namespace sonde
