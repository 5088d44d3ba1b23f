// SPDX-License-Identifier: Apache-2.0
// One scrape of this node by all collectors, and each of them alone.
#include <benchmark/benchmark.h>
#include <string>
#include <vector>

#include "agent/collectors/registry.hpp"
#include "agent/metrics/exposition.hpp"

namespace {

using namespace sonde;

std::unique_ptr<NodeCollectors> this_node()
{
  std::vector<std::span<const Setting>> tables;
  std::vector<std::string> keys;
  std::vector<Setting> switches;
  keys.reserve(collectors().size());
  for (const auto* info : collectors()) {
    keys.push_back("collector." + std::string(info->name));
    switches.push_back({keys.back(), SettingKind::kBool, info->enabled ? "true" : "false", ""});
    tables.push_back(info->settings);
  }
  tables.emplace_back(switches);
  return NodeCollectors::create({}, Settings::defaults(tables).value()).value();
}

void scrape(benchmark::State& state, const CollectorFilter& filter)
{
  const auto node = this_node();
  std::size_t lines = 0;
  std::size_t bytes = 0;
  Families families;
  for (auto _ : state) {
    families.clear();
    node->collect(families, filter);
    metrics::Exposition exposition;
    families.write(exposition);
    const auto body = exposition.body();
    benchmark::DoNotOptimize(body.data());
    lines = exposition.lines();
    bytes = body.size();
  }
  state.counters["lines"] = static_cast<double>(lines);
  state.counters["bytes"] = static_cast<double>(bytes);
}

const bool kRegistered = [] {
  benchmark::RegisterBenchmark("scrape/all", [](benchmark::State& state) { scrape(state, {}); })
      ->MeasureProcessCPUTime()
      ->Unit(benchmark::kMicrosecond);
  for (const auto* info : collectors())
    benchmark::RegisterBenchmark(
        ("scrape/" + std::string(info->name)).c_str(),
        [info](benchmark::State& state) { scrape(state, {std::string(info->name)}); })
        ->MeasureProcessCPUTime()
        ->Unit(benchmark::kMicrosecond);
  return true;
}();

}  // namespace
