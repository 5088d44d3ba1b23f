// SPDX-License-Identifier: Apache-2.0
// What collectors give, written out.
#include <gtest/gtest.h>

#include "agent/metrics/exposition.hpp"
#include "agent/metrics/families.hpp"

namespace sonde::metrics {
namespace {

std::string written(const Families& families)
{
  Exposition out;
  families.write(out);
  return out.body();
}

TEST(Families, KeepsTheSamplesOfFamiliesThatAreFilledByTurnsTogether)
{
  Families families;
  const auto reads = families.add("reads_total", Type::kCounter, "Reads.");
  families.add("empty", Type::kGauge, "Nothing.");
  const auto writes = families.add("writes_total", Type::kCounter, "Writes.");
  for (const auto* disk : {"a", "b"}) {
    reads.sample({{"disk", disk}, {"kind", "x"}}, 1);
    writes.sample({{"disk", disk}}, 2.5);
  }
  EXPECT_EQ(families.families(), 2U);
  EXPECT_EQ(families.samples(), 4U);
  EXPECT_EQ(written(families),
            "# HELP reads_total Reads.\n# TYPE reads_total counter\n"
            "reads_total{disk=\"a\",kind=\"x\"} 1\nreads_total{disk=\"b\",kind=\"x\"} 1\n"
            "# HELP writes_total Writes.\n# TYPE writes_total counter\n"
            "writes_total{disk=\"a\"} 2.5\nwrites_total{disk=\"b\"} 2.5\n");
}

TEST(Families, RepairsNamesAndLabelValuesThatComeFromTheKernel)
{
  Families families;
  families.add({"node_", "a(b)\xFF"}, Type::kUntyped, {"Field ", "a\n", "."})
      .sample({{"device", "\xFF\"\n"}}, 1);
  families.add("9lives", Type::kGauge, "").sample({}, 9);
  EXPECT_EQ(written(families),
            "# HELP _9lives \n# TYPE _9lives gauge\n_9lives 9\n"
            "# HELP node_a_b__ Field a\\n.\n# TYPE node_a_b__ untyped\n"
            "node_a_b__{device=\"\xEF\xBF\xBD\\\"\\n\"} 1\n");
}

TEST(Families, StartsAnewAfterClear)
{
  Families families;
  families.add("a", Type::kGauge, "A.").sample({}, 1);
  families.clear();
  families.add("b", Type::kGauge, "B.").sample({}, 2);
  EXPECT_EQ(written(families), "# HELP b B.\n# TYPE b gauge\nb 2\n");
}

}  // namespace
}  // namespace sonde::metrics
