// SPDX-License-Identifier: Apache-2.0
// The `le` labels of a histogram are the decimal digits of its integer bounds.
#include <array>

#include <gtest/gtest.h>

#include "agent/metrics/bounds.hpp"

namespace sonde::metrics {
namespace {

TEST(Bounds, NanosecondsArePrintedAsTheSecondsTheyAreToTheLastDigit)
{
  constexpr std::array<std::uint64_t, 5> kValues = {
      1'000, 4'000, 256'000, 1'024'000, 16'777'216'000};
  const auto bounds = Bounds::create(kValues, 1e-9);
  ASSERT_TRUE(bounds);
  const std::array<std::string, 6> kLe = {R"(le="1e-06")",
                                          R"(le="4e-06")",
                                          R"(le="0.000256")",
                                          R"(le="0.001024")",
                                          R"(le="16.777216")",
                                          R"(le="+Inf")"};
  ASSERT_EQ(bounds->le().size(), kLe.size());
  for (std::size_t i = 0; i < kLe.size(); ++i)
    EXPECT_EQ(bounds->le()[i], kLe[i]);
}

}  // namespace
}  // namespace sonde::metrics
