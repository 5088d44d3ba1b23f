// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics/bounds.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <fmt/format.h>

#include "agent/metrics/exposition.hpp"

namespace sonde::metrics {

Result<Bounds> Bounds::create(std::span<const std::uint64_t> values, double unit)
{
  if (values.empty() || values.size() >= SONDE_BUCKETS)
    return fail(
        fmt::format("a histogram has 1 to {} bounds, not {}", SONDE_BUCKETS - 1, values.size()));
  if (!std::ranges::is_sorted(values, std::less_equal{}) || values.front() == 0)
    return fail("histogram bounds must be above zero and ascend");
  Bounds bounds;
  bounds.values_.assign(values.begin(), values.end());
  bounds.unit_ = unit;
  for (const auto value : values) {
    std::string le = "le=\"";
    append_number(le, bounds.in_base_unit(value));
    bounds.le_.push_back(le += '"');
  }
  bounds.le_.emplace_back(R"(le="+Inf")");
  return bounds;
}

double Bounds::in_base_unit(std::uint64_t value) const
{
  // Dividing by a whole number of units is exact to the last digit; 1000 * 1e-9 is not.
  return unit_ < 1 ? static_cast<double>(value) / std::round(1 / unit_)
                   : static_cast<double>(value) * unit_;
}

std::array<std::uint64_t, SONDE_BUCKETS> Bounds::padded() const
{
  constexpr std::uint64_t largest = std::numeric_limits<std::int64_t>::max();
  std::array<std::uint64_t, SONDE_BUCKETS> out{};
  out.fill(largest);
  std::ranges::transform(values_, out.begin(), [largest](auto value) { return std::min(value, largest); });
  return out;
}

}  // namespace sonde::metrics
