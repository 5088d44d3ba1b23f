// SPDX-License-Identifier: Apache-2.0
// One scrape's body in the Prometheus text format 0.0.4: written once, by one thread, over label
// blocks that were rendered before.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <prometheus/metric_family.h>

#include "agent/metrics/bounds.hpp"
#include "agent/metrics/desc.hpp"

namespace sonde::metrics {

class Exposition {
public:
  // Label blocks of one sample, joined by commas; empty ones are left out.
  using Blocks = std::initializer_list<std::string_view>;

  struct FamilyLines {
    std::string_view name;
    std::size_t lines;
    std::size_t folded;
  };

  // At most `max_lines` sample lines; what comes after is left out and counted as folded.
  explicit Exposition(std::size_t max_lines = 1'000'000) : max_lines_(max_lines) {}

  void reserve(std::size_t bytes) { text_.reserve(bytes); }

  // Begins a family: the samples that follow are its own. Each name at most once a scrape; it
  // outlives the exposition.
  void begin(std::string_view name, Type type, std::string_view help);
  void begin(const Desc& desc) { begin(desc.name, desc.type, desc.help); }

  void sample(Blocks labels, double value);
  void sample(Blocks labels, std::uint64_t value);
  // `counted` as the kernel keeps it (buckets not cumulative, sum in the bounds' integer unit).
  void histogram(Blocks labels, const Bounds& bounds, const sonde_histogram& counted);

  // One of several lines that only make sense together: of a summary, or of a histogram with bounds
  // of its own.
  struct Line {
    std::string_view suffix;     // _bucket, _sum, _count or nothing
    std::string_view more = {};  // le="1" or quantile="0.5", after the labels
    double value = 0;
  };
  void lines(Blocks labels, std::span<const Line> lines);

  // Notes that `sets` more label sets of the current family went to `other` before they came here.
  void fold(std::size_t sets) { segments_.back().folded += sets; }

  // Families of the prometheus-cpp data model. Names, label names and values are repaired.
  void add(const prometheus::MetricFamily& family);

  // The body, families sorted by name, and how many lines each has.
  std::string body() const;
  std::vector<FamilyLines> families() const;
  std::size_t lines() const { return lines_; }
  std::size_t bytes() const { return text_.size(); }

private:
  struct Segment {
    std::string_view name;
    std::size_t begin;
    std::size_t lines = 0;
    std::size_t folded = 0;
  };

  bool admit(std::size_t lines);
  void name_and_labels(std::string_view suffix, Blocks labels, std::string_view extra);
  void add_metric(const prometheus::ClientMetric& metric, prometheus::MetricType type);

  std::size_t max_lines_;
  std::size_t lines_ = 0;
  std::string text_;
  std::vector<Segment> segments_;
  std::deque<std::string> names_;  // that add() repaired
};

// A number as Go's strconv.FormatFloat(v, 'g', -1, 64) and Prometheus print it; whole numbers up
// to 2^53 are printed in full.
void append_number(std::string& out, double value);
void append_number(std::string& out, std::uint64_t value);

}  // namespace sonde::metrics
