// SPDX-License-Identifier: Apache-2.0
// Every metric family that this build can expose, printed from the descriptions that /metrics is
// printed from: `sonde metrics`, and the table in README.md.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "agent/collectors/collector.hpp"
#include "agent/metrics/desc.hpp"
#include "agent/probes/probe.hpp"

namespace sonde::app {

struct CatalogueSection {
  std::string title;
  std::span<const metrics::Desc> metrics;
};

// Probe families, then collectors and what is said of their scrapes, then the agent's own.
std::vector<CatalogueSection> catalogue(std::span<const Family* const> families,
                                        std::span<const CollectorInfo* const> collectors,
                                        std::span<const metrics::Desc> scrape,
                                        std::span<const metrics::Desc> self);
std::vector<CatalogueSection> catalogue();

std::string catalogue_text(std::span<const CatalogueSection> sections);
std::string catalogue_markdown(std::span<const CatalogueSection> sections);

}  // namespace sonde::app
