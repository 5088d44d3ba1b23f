// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/go_metrics.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string_view>

#include "agent/base/clock.hpp"
#include "agent/probes/go_metric_table.hpp"

namespace sonde::go_runtime {

namespace {

using runtime::GoHistogram;
using runtime::GoSample;

template <typename T>
double number(T value)
{
  return static_cast<double>(value);
}

constexpr double (*kValues[])(const GoSample&) = {
    [](const GoSample& s) { return number(s.goroutines); },
    [](const GoSample& s) { return number(s.threads); },
    [](const GoSample& s) { return seconds(s.last_gc_ns); },
    [](const GoSample& s) { return number(s.heap_alloc); },
    [](const GoSample& s) { return number(s.total_alloc); },
    [](const GoSample& s) { return number(s.sys); },
    [](const GoSample& s) { return number(s.mallocs); },
    [](const GoSample& s) { return number(s.frees); },
    [](const GoSample& s) { return number(s.heap_alloc); },
    [](const GoSample& s) { return number(s.heap_sys); },
    [](const GoSample& s) { return number(s.heap_idle); },
    [](const GoSample& s) { return number(s.heap_in_use); },
    [](const GoSample& s) { return number(s.heap_released); },
    [](const GoSample& s) { return number(s.heap_objects); },
    [](const GoSample& s) { return number(s.stack_in_use); },
    [](const GoSample& s) { return number(s.stack_sys); },
    [](const GoSample& s) { return number(s.mspan_in_use); },
    [](const GoSample& s) { return number(s.mspan_sys); },
    [](const GoSample& s) { return number(s.mcache_in_use); },
    [](const GoSample& s) { return number(s.mcache_sys); },
    [](const GoSample& s) { return number(s.buck_hash_sys); },
    [](const GoSample& s) { return number(s.gc_sys); },
    [](const GoSample& s) { return number(s.other_sys); },
    [](const GoSample& s) { return number(s.next_gc); },
    [](const GoSample& s) { return number(static_cast<std::uint64_t>(s.gc_percent)); },
    [](const GoSample& s) { return number(s.memory_limit); },
    [](const GoSample& s) { return number(s.processors); },
};

enum : std::size_t { kSummary = std::size(kValues), kInfo, kBuildInfo, kHistograms };

constexpr GoHistogram GoSample::* kDistributions[] = {
    &GoSample::gc_pauses,
    &GoSample::latencies,
    &GoSample::gc_pauses,
    &GoSample::gc_stopping,
    &GoSample::other_pauses,
    &GoSample::other_stopping,
};
static_assert(std::size(kMetrics) == kHistograms + std::size(kDistributions) + 1);
constexpr std::size_t kAlways = 2;  // of the distributions

// Of these every second one is client_golang's, which has powers of ten: too coarse for quantiles.
// All are bounds of the runtime's own histograms.
constexpr std::uint64_t kBoundsNs[] = {64,
                                       192,
                                       640,
                                       2'048,
                                       7'168,
                                       24'576,
                                       81'920,
                                       262'144,
                                       917'504,
                                       3'145'728,
                                       10'485'760,
                                       33'554'432,
                                       117'440'512,
                                       402'653'184};

// The runtime's upper bounds are exclusive: as in client_golang the next lower number is the
// inclusive one.
const std::array<std::string, std::size(kBoundsNs) + 1>& le_labels()
{
  static const auto labels = [] {
    std::array<std::string, std::size(kBoundsNs) + 1> made;
    for (std::size_t i = 0; i < made.size(); ++i) {
      made[i] = "le=\"";
      metrics::append_number(made[i],
                             i < std::size(kBoundsNs) ? std::nextafter(seconds(kBoundsNs[i]), 0.0)
                                                      : std::numeric_limits<double>::infinity());
      made[i] += '"';
    }
    return made;
  }();
  return labels;
}

void expose_histogram(metrics::Exposition& out, std::string_view labels, const GoHistogram& counted)
{
  using Line = metrics::Exposition::Line;
  const auto& layout = *counted.layout;
  std::array<Line, std::size(kBoundsNs) + 3> lines;
  // The runtime keeps no sums: each bucket counts with its middle.
  double sum_ns = 0;
  std::uint64_t count = counted.words[layout.counts];  // below 0
  std::uint32_t bucket = 0;
  const auto up_to = [&](std::uint64_t bound) {
    for (; bucket < layout.counts && layout.bound(bucket) < bound; ++bucket) {
      count += counted.words[bucket];
      sum_ns += number(counted.words[bucket]) *
                (number(layout.bound(bucket)) + number(layout.bound(bucket + 1))) / 2;
    }
  };
  for (std::size_t i = 0; i < std::size(kBoundsNs); ++i) {
    up_to(kBoundsNs[i]);
    lines[i] = {"_bucket", le_labels()[i], number(count)};
  }
  up_to(std::numeric_limits<std::uint64_t>::max());
  if (layout.overflow) {
    const auto beyond = counted.words[layout.counts + 1];
    count += beyond;
    sum_ns += number(beyond) * number(layout.bound(layout.counts));
  }
  lines[std::size(kBoundsNs)] = {"_bucket", le_labels().back(), number(count)};
  lines[std::size(kBoundsNs) + 1] = {"_sum", {}, sum_ns / 1e9};
  lines[std::size(kBoundsNs) + 2] = {"_count", {}, number(count)};
  out.lines({labels}, lines);
}

void expose_summary(metrics::Exposition& out, std::string_view labels, const GoSample& sample)
{
  const auto& quantiles = sample.pause_quantiles_ns;
  const metrics::Exposition::Line lines[] = {
      {"", "quantile=\"0\"", seconds(quantiles[0])},
      {"", "quantile=\"0.25\"", seconds(quantiles[1])},
      {"", "quantile=\"0.5\"", seconds(quantiles[2])},
      {"", "quantile=\"0.75\"", seconds(quantiles[3])},
      {"", "quantile=\"1\"", seconds(quantiles[4])},
      {"_sum", {}, seconds(sample.pause_total_ns)},
      {"_count", {}, number(sample.num_gc)},
  };
  out.lines({labels}, lines);
}

}  // namespace

void expose(metrics::Exposition& out, std::span<const Reading> readings, bool pauses)
{
  if (readings.empty())
    return;
  for (std::size_t i = 0; i < std::size(kValues); ++i) {
    out.begin(kMetrics[i]);
    for (const auto& reading : readings)
      out.sample({reading.labels}, kValues[i](reading.sample));
  }
  out.begin(kMetrics[kSummary]);
  for (const auto& reading : readings)
    expose_summary(out, reading.labels, reading.sample);
  out.begin(kMetrics[kInfo]);
  for (const auto& reading : readings)
    out.sample({reading.labels, reading.go_version}, std::uint64_t{1});
  out.begin(kMetrics[kBuildInfo]);
  for (const auto& reading : readings)
    out.sample({reading.labels, reading.build}, std::uint64_t{1});
  for (std::size_t i = 0; i < (pauses ? std::size(kDistributions) : kAlways); ++i) {
    out.begin(kMetrics[kHistograms + i]);
    for (const auto& reading : readings)
      if (const auto& counted = reading.sample.*kDistributions[i]; counted.layout != nullptr)
        expose_histogram(out, reading.labels, counted);
  }
}

}  // namespace sonde::go_runtime
