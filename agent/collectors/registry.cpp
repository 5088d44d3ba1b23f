// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/registry.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "agent/base/clock.hpp"
#include "agent/base/log.hpp"

namespace sonde {

namespace {

constexpr metrics::Desc kScrapeMetrics[] = {
    {"node_scrape_collector_duration_seconds",
     metrics::Type::kGauge,
     "node_exporter: Duration of a collector scrape.",
     "collector"},
    {"node_scrape_collector_success",
     metrics::Type::kGauge,
     "node_exporter: Whether a collector succeeded.",
     "collector"},
};

// A collector whose message changes with each scrape does not fill the log or the memory.
constexpr std::size_t kMaxLogged = 32;

Failure refuse(std::string_view why)
{
  return fail(
      fmt::format("Couldn't create filtered metrics handler: couldn't create collector: {}", why));
}

}  // namespace

std::span<const metrics::Desc> scrape_metrics()
{
  return kScrapeMetrics;
}

Result<CollectorFilter> make_filter(std::span<const CollectorState> states,
                                    std::span<const std::string> collect,
                                    std::span<const std::string> exclude)
{
  if (!collect.empty() && !exclude.empty())
    return fail("Combined collect and exclude queries are not allowed.");

  CollectorFilter filter;
  for (const auto& name : collect) {
    const auto state = std::ranges::find(states, name, &CollectorState::name);
    if (state == states.end())
      return refuse("missing collector: " + name);
    if (!state->enabled)
      return refuse("disabled collector: " + name);
    filter.insert(name);
  }
  // Excluding all of them leaves no filter, hence everything: node_exporter answers so too.
  if (!exclude.empty())
    for (const auto& state : states)
      if (state.enabled && std::ranges::find(exclude, state.name) == exclude.end())
        filter.emplace(state.name);
  return filter;
}

Result<std::unique_ptr<NodeCollectors>> NodeCollectors::create(
    const Paths& paths, const Settings& settings, std::span<const CollectorInfo* const> infos)
{
  auto all = std::make_unique<NodeCollectors>(Token{}, paths);
  for (const auto* info : infos) {
    const bool enabled = settings.flag(fmt::format("collector.{}", info->name));
    all->states_.push_back({info->name, enabled});
    if (!enabled)
      continue;
    auto collector = SONDE_TRY(
        in(info->create(paths, settings, all->sources_), fmt::format("collector {}", info->name)));
    all->running_.push_back({info->name, std::move(collector), {}});
  }
  return all;
}

void NodeCollectors::collect(Families& out, const CollectorFilter& filter)
{
  const std::lock_guard lock(mutex_);
  sources_.begin_scrape();
  const auto scrape = out.add(kScrapeMetrics);
  for (auto& running : running_) {
    if (!filter.empty() && !filter.contains(running.name))
      continue;
    const auto begin = monotonic_ns();
    const auto result = running.collector->collect(out);
    const auto duration = monotonic_ns() - begin;
    if (!result)
      log_failure(running, result.error());
    scrape[0].sample({{"collector", running.name}}, seconds(duration));
    scrape[1].sample({{"collector", running.name}}, result ? 1 : 0);
  }
}

void NodeCollectors::log_failure(Running& running, const Error& error)
{
  auto message = error.message();
  if (running.logged.size() >= kMaxLogged || running.logged.contains(message))
    return;
  // Nothing to tell is normal: a kernel without pressure stall information.
  const auto level =
      error.code() == std::errc::no_message_available ? log::Level::kDebug : log::Level::kWarn;
  log::write(level,
             "a collector failed; told once",
             {{"collector", std::string(running.name)}, {"error", message}});
  running.logged.insert(std::move(message));
}

}  // namespace sonde
