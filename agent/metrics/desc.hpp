// SPDX-License-Identifier: Apache-2.0
// What a metric family is, known at compile time: /metrics and the catalogue are printed from it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sonde::metrics {

enum class Type : std::uint8_t { kCounter, kGauge, kHistogram, kSummary, kUntyped };

struct Desc {
  std::string_view name;  // carries its base unit: node_run_queue_latency_seconds
  Type type;
  std::string_view help;
  std::string_view labels = {};  // names, separated by blanks: "service mode"
};

std::string_view name_of(Type type);

}  // namespace sonde::metrics
