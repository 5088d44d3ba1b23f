// SPDX-License-Identifier: Apache-2.0
#include "agent/collectors/sample.hpp"

namespace sonde {

namespace {

prometheus::MetricType type_of(metrics::Type type)
{
  switch (type) {
  case metrics::Type::kCounter:
    return prometheus::MetricType::Counter;
  case metrics::Type::kGauge:
    return prometheus::MetricType::Gauge;
  case metrics::Type::kHistogram:
    return prometheus::MetricType::Histogram;
  case metrics::Type::kUntyped:
    break;
  }
  return prometheus::MetricType::Untyped;
}

}  // namespace

prometheus::MetricFamily& add_family(std::vector<prometheus::MetricFamily>& out,
                                     std::string_view name,
                                     metrics::Type type,
                                     std::string_view help)
{
  return out.emplace_back(
      prometheus::MetricFamily{std::string(name), std::string(help), type_of(type), {}});
}

prometheus::MetricFamily& add_family(std::vector<prometheus::MetricFamily>& out,
                                     const metrics::Desc& desc)
{
  return add_family(out, desc.name, desc.type, desc.help);
}

void add_sample(prometheus::MetricFamily& family, LabelPairs labels, double value)
{
  auto& metric = family.metric.emplace_back();
  metric.label.reserve(labels.size());
  for (const auto& [name, text] : labels)
    metric.label.push_back({std::string(name), std::string(text)});
  switch (family.type) {
  case prometheus::MetricType::Counter:
    metric.counter.value = value;
    break;
  case prometheus::MetricType::Gauge:
    metric.gauge.value = value;
    break;
  default:
    metric.untyped.value = value;
    break;
  }
}

}  // namespace sonde
