// SPDX-License-Identifier: Apache-2.0
// What the template of a path costs: one known already, one with values, one never seen.
#include <benchmark/benchmark.h>
#include <string>
#include <vector>

#include "agent/protocols/routes.hpp"

namespace sonde::protocols {
namespace {

std::vector<std::string> names(std::size_t count)
{
  std::vector<std::string> all;
  for (std::size_t i = 0; i < count; ++i) {
    std::string name;
    for (auto n = i * 7919 + 1; n > 0; n /= 26)
      name += static_cast<char>('a' + n % 26);
    all.push_back(name);
  }
  return all;
}

void routes_known(benchmark::State& state)
{
  Routes routes;
  std::vector<std::string> paths;
  for (const auto& name : names(200))
    paths.push_back("/api/v1/" + name + "/list");
  std::size_t i = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(routes.of(paths[++i % paths.size()]));
}
BENCHMARK(routes_known);

void routes_values(benchmark::State& state)
{
  Routes routes;
  for (auto _ : state)
    benchmark::DoNotOptimize(
        routes.of("/api/v1/users/0af76519-16cd-43dd-8448-eb211c80319c/orders/4711"));
}
BENCHMARK(routes_values);

void routes_slugs(benchmark::State& state)
{
  Routes routes;
  std::vector<std::string> paths;
  for (const auto& name : names(100'000))
    paths.push_back("/articles/" + name);
  std::size_t i = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(routes.of(paths[++i % paths.size()]));
}
BENCHMARK(routes_slugs);

void routes_configured(benchmark::State& state)
{
  std::vector<std::string> patterns;
  for (const auto& name : names(100))
    patterns.push_back("/" + name + "/{id}");
  Routes routes(patterns);
  const auto path = "/" + names(100).back() + "/17";
  for (auto _ : state)
    benchmark::DoNotOptimize(routes.of(path));
}
BENCHMARK(routes_configured);

}  // namespace
}  // namespace sonde::protocols
