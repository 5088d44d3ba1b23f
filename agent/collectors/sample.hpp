// SPDX-License-Identifier: Apache-2.0
// Short ways to fill the prometheus-cpp data model.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

#include "agent/metrics/desc.hpp"

namespace sonde {

using LabelPairs = std::initializer_list<std::pair<std::string_view, std::string_view>>;

// Appends an empty family; the reference is good until the next one is appended.
prometheus::MetricFamily& add_family(std::vector<prometheus::MetricFamily>& out,
                                     std::string_view name,
                                     metrics::Type type,
                                     std::string_view help);
prometheus::MetricFamily& add_family(std::vector<prometheus::MetricFamily>& out,
                                     const metrics::Desc& desc);

// Appends a sample of the family's type.
void add_sample(prometheus::MetricFamily& family, LabelPairs labels, double value);

}  // namespace sonde
