// SPDX-License-Identifier: Apache-2.0
// The kernel's bucket search, compiled natively, against a plain linear one.
#include <algorithm>
#include <array>
#include <random>

#include <gtest/gtest.h>

#include "sonde/histogram.h"

namespace sonde {
namespace {

constexpr __u64 largest = ~0ULL >> 1;
using Bounds = std::array<__u64, SONDE_BUCKETS>;

__u32 linear(const Bounds& bounds, __u64 value)
{
  for (__u32 i = 0; i < SONDE_BUCKETS - 1; ++i)
    if (value <= bounds[i])
      return i;
  return SONDE_BUCKETS - 1;
}

TEST(Histogram, TheSearchFindsTheFirstBoundThatIsNotBelowTheValue)
{
  std::mt19937_64 random(7);
  for (std::size_t used = 1; used < SONDE_BUCKETS; ++used) {
    Bounds bounds;
    bounds.fill(largest);
    for (std::size_t i = 0; i < used; ++i)
      bounds[i] = random() >> (1 + random() % 60);
    std::sort(bounds.begin(), bounds.begin() + static_cast<std::ptrdiff_t>(used));
    for (const auto bound : bounds)
      for (const __u64 value : {bound - 1, bound, bound + 1, __u64{0}, __u64{random() >> 1}})
        if (value < largest) {
          EXPECT_EQ(sonde_bucket(bounds.data(), value), linear(bounds, value));
        }
  }
}

}  // namespace
}  // namespace sonde
