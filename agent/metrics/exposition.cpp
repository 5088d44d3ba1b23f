// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics/exposition.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>

#include "agent/base/text.hpp"
#include "agent/metrics/labels.hpp"

namespace sonde::metrics {

namespace {

constexpr double kExactIntegers = 9007199254740992.0;  // 2^53

Type type_of(prometheus::MetricType type)
{
  switch (type) {
  case prometheus::MetricType::Counter:
    return Type::kCounter;
  case prometheus::MetricType::Gauge:
    return Type::kGauge;
  case prometheus::MetricType::Histogram:
    return Type::kHistogram;
  default:
    return Type::kUntyped;
  }
}

// HELP escapes backslash and line feed only; Prometheus refuses a scrape whose HELP is not UTF-8.
void append_help(std::string& out, std::string_view help)
{
  const auto plain = [](char c) {
    return static_cast<unsigned char>(c) < 0x80 && c != '\\' && c != '\n';
  };
  if (std::ranges::all_of(help, plain)) {
    out += help;
    return;
  }
  for (const char c : valid_utf8(help)) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
}

std::string block_of(const std::vector<prometheus::ClientMetric::Label>& labels)
{
  std::string block;
  for (const auto& label : labels) {
    if (!block.empty())
      block += ',';
    const auto begin = block.size();
    block += label.name;
    repair_name(block, begin, false);
    block += "=\"";
    append_escaped(block, label.value, 1024);
    block += '"';
  }
  return block;
}

}  // namespace

void append_number(std::string& out, std::uint64_t value)
{
  std::array<char, 24> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), end);
}

void append_number(std::string& out, double value)
{
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
    return;
  }
  if (std::abs(value) < kExactIntegers && value == std::trunc(value)) {
    if (std::signbit(value))
      out += '-';
    append_number(out, static_cast<std::uint64_t>(std::abs(value)));
    return;
  }
  // Shortest digits; fixed notation for exponents in [-4, 20], as Go's 'g' for integers above.
  std::array<char, 32> digits{};
  const double magnitude = std::abs(value);
  const auto format = magnitude >= 1e-4 && magnitude < 1e21 ? std::chars_format::fixed
                                                            : std::chars_format::scientific;
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), value, format);
  out.append(digits.data(), end);
}

void Exposition::begin(std::string_view name, Type type, std::string_view help)
{
  segments_.push_back({.name = name, .begin = text_.size()});
  text_.append("# HELP ").append(name).append(" ");
  append_help(text_, help);
  text_.append("\n# TYPE ").append(name).append(" ").append(name_of(type)).append("\n");
}

bool Exposition::admit(std::size_t lines)
{
  auto& segment = segments_.back();
  if (lines_ + lines > max_lines_) {
    segment.folded += lines;
    return false;
  }
  lines_ += lines;
  segment.lines += lines;
  return true;
}

void Exposition::name_and_labels(std::string_view suffix, Blocks labels, std::string_view extra)
{
  text_.append(segments_.back().name).append(suffix);
  bool first = true;
  const auto block = [&](std::string_view labels_of_block) {
    if (labels_of_block.empty())
      return;
    text_.append(first ? "{" : ",").append(labels_of_block);
    first = false;
  };
  for (const auto labels_of_block : labels)
    block(labels_of_block);
  block(extra);
  text_ += first ? " " : "} ";
}

void Exposition::sample(Blocks labels, double value)
{
  if (!admit(1))
    return;
  name_and_labels({}, labels, {});
  append_number(text_, value);
  text_ += '\n';
}

void Exposition::sample(Blocks labels, std::uint64_t value)
{
  if (!admit(1))
    return;
  name_and_labels({}, labels, {});
  append_number(text_, value);
  text_ += '\n';
}

void Exposition::lines(Blocks labels, std::span<const Line> lines)
{
  if (!admit(lines.size()))
    return;
  for (const auto& line : lines) {
    name_and_labels(line.suffix, labels, line.more);
    append_number(text_, line.value);
    text_ += '\n';
  }
}

void Exposition::histogram(Blocks labels, const Bounds& bounds, const sonde_histogram& counted)
{
  if (!admit(bounds.buckets() + 2))
    return;
  // The part all lines share is rendered once.
  const auto start = text_.size();
  name_and_labels("_bucket", labels, "le");
  std::string shared = text_.substr(start, text_.size() - start - std::string_view("le} ").size());
  text_.resize(start);

  const auto finite = bounds.buckets() - 1;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i <= finite; ++i) {
    // Whatever the kernel filed above the last bound is +Inf.
    count = i < finite
                ? count + counted.buckets[i]
                : std::accumulate(counted.buckets + finite, std::end(counted.buckets), count);
    text_.append(shared).append(bounds.le()[i]).append("} ");
    append_number(text_, count);
    text_ += '\n';
  }
  name_and_labels("_sum", labels, {});
  append_number(text_, bounds.in_base_unit(counted.sum));
  text_ += '\n';
  name_and_labels("_count", labels, {});
  append_number(text_, count);
  text_ += '\n';
}

void Exposition::add_metric(const prometheus::ClientMetric& metric, prometheus::MetricType type)
{
  const auto labels = block_of(metric.label);
  switch (type) {
  case prometheus::MetricType::Counter:
    sample({labels}, metric.counter.value);
    return;
  case prometheus::MetricType::Gauge:
    sample({labels}, metric.gauge.value);
    return;
  case prometheus::MetricType::Untyped:
    sample({labels}, metric.untyped.value);
    return;
  case prometheus::MetricType::Histogram:
    break;
  default:
    return;
  }
  const auto& histogram = metric.histogram;
  if (!admit(histogram.bucket.size() + 2))
    return;
  for (const auto& bucket : histogram.bucket) {
    std::string le = "le=\"";
    append_number(le, bucket.upper_bound);
    name_and_labels("_bucket", {labels}, le += '"');
    append_number(text_, bucket.cumulative_count);
    text_ += '\n';
  }
  name_and_labels("_sum", {labels}, {});
  append_number(text_, histogram.sample_sum);
  text_ += '\n';
  name_and_labels("_count", {labels}, {});
  append_number(text_, histogram.sample_count);
  text_ += '\n';
}

void Exposition::add(const prometheus::MetricFamily& family)
{
  auto& name = names_.emplace_back(family.name);
  repair_name(name, 0, true);
  begin(name, type_of(family.type), family.help);
  for (const auto& metric : family.metric)
    add_metric(metric, family.type);
}

std::string Exposition::body() const
{
  std::vector<std::size_t> order(segments_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order,
                           [&](auto a, auto b) { return segments_[a].name < segments_[b].name; });
  std::string out;
  out.reserve(text_.size());
  for (const auto i : order) {
    const auto end = i + 1 < segments_.size() ? segments_[i + 1].begin : text_.size();
    out.append(text_, segments_[i].begin, end - segments_[i].begin);
  }
  return out;
}

std::vector<Exposition::FamilyLines> Exposition::families() const
{
  std::vector<FamilyLines> families;
  families.reserve(segments_.size());
  for (const auto& segment : segments_)
    families.push_back({segment.name, segment.lines, segment.folded});
  return families;
}

}  // namespace sonde::metrics
