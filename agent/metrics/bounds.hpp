// SPDX-License-Identifier: Apache-2.0
// Upper bounds of a classic histogram, exact: the kernel compares the very integers that `le`
// prints.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sonde/histogram.h"

#include "agent/base/result.hpp"

namespace sonde::metrics {

class Bounds {
public:
  // `values` ascending, distinct, 1 to SONDE_BUCKETS - 1 of them, in units of `unit` (1e-9 for
  // nanoseconds, 1 for bytes).
  static Result<Bounds> create(std::span<const std::uint64_t> values, double unit);

  std::span<const std::uint64_t> values() const { return values_; }
  // `le="0.001"` of each bound, and `le="+Inf"` last.
  std::span<const std::string> le() const { return le_; }
  // A value or sum in the integer unit as the base unit prints it.
  double in_base_unit(std::uint64_t value) const;
  std::size_t buckets() const { return le_.size(); }

  // What goes into a program's rodata: the bounds, all at most 2^63 - 1 and padded with
  // that: sonde_bucket().
  std::array<std::uint64_t, SONDE_BUCKETS> padded() const;

private:
  std::vector<std::uint64_t> values_;
  std::vector<std::string> le_;
  double unit_ = 1;
};

}  // namespace sonde::metrics
