// SPDX-License-Identifier: Apache-2.0
#include "agent/app/scraper.hpp"

#include "agent/app/self_metrics.hpp"
#include "agent/base/clock.hpp"
#include "agent/metrics/exposition.hpp"
#include "agent/proc/service_table.hpp"

namespace sonde::app {

std::string Scraper::scrape(const CollectorFilter& filter, bool probes)
{
  const std::scoped_lock lock(mutex_);
  metrics::Exposition out(max_lines_);
  out.reserve(last_bytes_);
  SelfState self;
  if (probes)
    collect_probes(out, self);
  collected_.clear();
  collectors_.collect(collected_, filter);
  collected_.write(out);
  self.last_reload_successful = reload_successful_;
  self.last_reload_seconds = reload_seconds_;
  for (const auto& family : out.families())
    if (family.folded > 0)
      folded_[std::string(family.name)] += family.folded;
  self.folded = folded_;
  write_self_metrics(out, self);
  last_bytes_ = out.bytes();
  return out.body();
}

void Scraper::collect_probes(metrics::Exposition& out, SelfState& self)
{
  self.hooks = &node_.hooks();
  const std::scoped_lock lock(node_.probes_mutex());
  auto* services = node_.services();
  if (services == nullptr)
    return;
  const auto table = services->table();
  Scrape scrape{out, *table};
  for (const auto& running : node_.probes()) {
    running->probe->collect(scrape);
    auto losses = running->probe->losses();
    losses.push_back({"ring_full", node_.maps()->facts_lost(running->host.family)});
    self.sources.push_back(
        {std::string(running->family->name), running->probe->events(), std::move(losses)});
  }
  self.services_folded = services->counts().folded;
  self.shared_map_bytes = node_.maps()->bytes();
  if (const auto* executables = node_.executables(); executables != nullptr) {
    self.uprobes = executables->counts();
    self.uninstrumented = executables->uninstrumented();
  }
}

void Scraper::reloaded(bool successfully)
{
  const std::scoped_lock lock(mutex_);
  reload_successful_ = successfully;
  if (successfully)
    reload_seconds_ = seconds(wall_ns());
}

}  // namespace sonde::app
