// SPDX-License-Identifier: Apache-2.0
// What a scrape of 90,000 lines costs: rendering alone, compression alone.
#include <benchmark/benchmark.h>
#include <random>
#include <string>
#include <vector>

#include "agent/metrics/exposition.hpp"
#include "agent/metrics/labels.hpp"
#include "agent/web/gzip.hpp"

namespace sonde {
namespace {

constexpr std::size_t kLines = 90'000;
constexpr std::size_t kServices = 250;

// Labels are rendered when a series is born, not when it is scraped.
struct Series {
  std::vector<std::string> services;
  std::vector<std::string> paths;
  metrics::Bounds bounds;
  std::vector<sonde_histogram> counted{kServices};

  Series()
      : bounds(metrics::Bounds::create(std::vector<std::uint64_t>{50'000,
                                                                  100'000,
                                                                  250'000,
                                                                  500'000,
                                                                  1'000'000,
                                                                  2'500'000,
                                                                  5'000'000,
                                                                  10'000'000,
                                                                  25'000'000,
                                                                  50'000'000,
                                                                  100'000'000,
                                                                  250'000'000,
                                                                  500'000'000,
                                                                  1'000'000'000},
                                       1e-9)
                   .value())
  {
    for (std::size_t i = 0; i < kServices; ++i)
      services.push_back(metrics::label_block(
          {{"service", "checkout-" + std::to_string(i)}, {"namespace", "production"}}));
    for (std::size_t i = 0; i < 20; ++i)
      paths.push_back(metrics::label_block(
          {{"method", "GET"}, {"path", "/api/v1/orders/{id}/items/" + std::to_string(i)}}));
    std::mt19937_64 random(7663);
    for (auto& one : counted) {
      for (std::size_t i = 0; i < bounds.buckets(); ++i)
        one.buckets[i] = random() >> (34 + i);
      one.sum = random() >> 16;
    }
  }
};

// About what a busy node exposes: four of five lines belong to histograms.
void render(metrics::Exposition& out, const Series& series)
{
  out.begin("http_request_duration_seconds", metrics::Type::kHistogram, "Duration of requests.");
  std::size_t i = 0;
  while (out.lines() < kLines * 4 / 5) {
    out.histogram({series.services[i % kServices], series.paths[i / kServices]},
                  series.bounds,
                  series.counted[i % kServices]);
    ++i;
  }
  out.begin("service_cpu_seconds_total", metrics::Type::kCounter, "CPU time.");
  for (i = 0; out.lines() < kLines * 9 / 10; ++i)
    out.sample({series.services[i % kServices], series.paths[i / kServices % 20]},
               static_cast<double>(i) * 1.000'000'123);
  out.begin("http_requests_total", metrics::Type::kCounter, "Requests.");
  for (i = 0; out.lines() < kLines; ++i)
    out.sample({series.services[i % kServices], series.paths[i / kServices % 20]},
               std::uint64_t{i} * 7919);
}

void bench_render(benchmark::State& state)
{
  const Series series;
  std::size_t bytes = 0;
  for (auto _ : state) {
    metrics::Exposition out;
    render(out, series);
    const auto body = out.body();
    bytes = body.size();
    benchmark::DoNotOptimize(body.data());
  }
  state.counters["bytes"] = static_cast<double>(bytes);
  state.counters["lines/s"] = benchmark::Counter(static_cast<double>(kLines),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}

void bench_gzip(benchmark::State& state)
{
  const Series series;
  metrics::Exposition out;
  render(out, series);
  const auto body = out.body();
  std::size_t bytes = 0;
  for (auto _ : state) {
    web::Gzip gzip(body);
    bytes = 0;
    while (!gzip.done())
      bytes += gzip.next().size();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
}

BENCHMARK(bench_render)->Name("render_90k_lines")->Unit(benchmark::kMillisecond);
BENCHMARK(bench_gzip)->Name("gzip_90k_lines")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sonde
