// SPDX-License-Identifier: Apache-2.0
#include "agent/app/catalogue.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "agent/app/markdown.hpp"
#include "agent/app/self_metrics.hpp"
#include "agent/collectors/registry.hpp"
#include "agent/protocols/protocol.hpp"

namespace sonde::app {

std::vector<CatalogueSection> catalogue(std::span<const Family* const> families,
                                        std::span<const CollectorInfo* const> collectors,
                                        std::span<const metrics::Desc> scrape,
                                        std::span<const metrics::Desc> self)
{
  std::vector<CatalogueSection> sections;
  // Some count for protocols only.
  for (const auto* family : families)
    if (!family->metrics.empty())
      sections.push_back({fmt::format("probe family {}", family->name), family->metrics});
  for (const auto* collector : collectors)
    sections.push_back({fmt::format("collector {}{}",
                                    collector->name,
                                    collector->enabled ? "" : " (off by default)"),
                        collector->metrics});
  sections.push_back({"scrapes of collectors", scrape});
  sections.push_back({"Sonde itself", self});
  return sections;
}

std::vector<CatalogueSection> catalogue()
{
  auto sections = catalogue(families(), collectors(), scrape_metrics(), self_metrics());
  // Behind the probe families: their metrics come from the socket tap.
  auto at = sections.begin() + std::ranges::count_if(families(), [](const Family* family) {
              return !family->metrics.empty();
            });
  for (const auto* protocol : protocols::protocols())
    if (!protocol->metrics.empty())
      at = sections.insert(at, {fmt::format("protocol {}", protocol->name), protocol->metrics}) + 1;
  return sections;
}

std::string catalogue_text(std::span<const CatalogueSection> sections)
{
  std::string out;
  for (const auto& section : sections) {
    out += fmt::format("{}{}\n", out.empty() ? "" : "\n", section.title);
    std::size_t names = 0;
    std::size_t labels = 0;
    for (const auto& metric : section.metrics) {
      names = std::max(names, metric.name.size());
      labels = std::max(labels, metric.labels.size());
    }
    for (const auto& metric : section.metrics)
      out += fmt::format("  {:<{}}  {:<9}  {:<{}}  {}\n",
                         metric.name,
                         names,
                         metrics::name_of(metric.type),
                         metric.labels.empty() ? "-" : metric.labels,
                         std::max<std::size_t>(labels, 1),
                         metric.help);
  }
  return out;
}

std::string catalogue_markdown(std::span<const CatalogueSection> sections)
{
  std::string out;
  for (const auto& section : sections) {
    out += fmt::format("{}### {}\n\n", out.empty() ? "" : "\n", markdown_cell(section.title));
    if (section.metrics.empty()) {
      out += "Families named by the kernel.\n";
      continue;
    }
    out += "| family | type | labels | meaning |\n|---|---|---|---|\n";
    for (const auto& metric : section.metrics)
      out += fmt::format("| `{}` | {} | {} | {} |\n",
                         metric.name,
                         metrics::name_of(metric.type),
                         metric.labels,
                         markdown_cell(metric.help));
  }
  return out;
}

}  // namespace sonde::app
