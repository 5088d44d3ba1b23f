// SPDX-License-Identifier: Apache-2.0
// What Sonde says of itself: sonde_* and process_*.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "agent/metrics/desc.hpp"
#include "agent/metrics/exposition.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/hooks.hpp"
#include "agent/probes/probe.hpp"

namespace sonde::app {

std::span<const metrics::Desc> self_metrics();

struct SelfState {
  struct Source {
    std::string name;
    std::uint64_t events;
    std::vector<Loss> losses;
  };

  // What is said of the probes; null when the scrape leaves them out.
  const Hooks* hooks = nullptr;
  std::vector<Source> sources;
  std::uint64_t shared_map_bytes = 0;
  std::vector<Executables::Count> uprobes;
  std::map<std::string, std::uint64_t> uninstrumented;  // processes, by reason
  bool last_reload_successful = true;
  double last_reload_seconds = 0;               // wall time of the last successful one
  std::uint64_t services_folded = 0;            // services that found no slot
  std::map<std::string, std::uint64_t> folded;  // lines over the cap so far, by family
};

// After everything else: it counts what the exposition already holds.
void write_self_metrics(metrics::Exposition& out, const SelfState& state);

}  // namespace sonde::app
