// SPDX-License-Identifier: Apache-2.0
// A recorder that writes down what a protocol recorded, one line each: "family{value,value} n".
#pragma once

#include <fmt/format.h>
#include <string>
#include <vector>

#include "agent/protocols/protocol.hpp"

namespace sonde::test {

class Recorded : public protocols::Recorder {
public:
  explicit Recorded(protocols::Role role) : role_(role) {}

  protocols::Role role() const override { return role_; }
  std::string_view peer() const override { return "peer"; }
  void count(const metrics::Desc& family, Values values, std::uint64_t n) override
  {
    add(family, values, n);
  }
  void observe(const metrics::Desc& family, Values values, std::uint64_t value) override
  {
    add(family, values, value);
  }
  void adjust(const metrics::Desc& family, Values values, std::int64_t by) override
  {
    add(family, values, by);
  }
  void merge(const metrics::Desc& family,
             Values values,
             std::span<const std::uint64_t>,
             std::uint64_t sum) override
  {
    add(family, values, sum);
  }
  std::string_view route(std::string_view, std::string_view path) override { return path; }

  std::vector<std::string> lines;

private:
  template <typename Number>
  void add(const metrics::Desc& family, Values values, Number number)
  {
    lines.push_back(fmt::format("{}{{{}}} {}", family.name, fmt::join(values, ","), number));
  }

  protocols::Role role_;
};

}  // namespace sonde::test
