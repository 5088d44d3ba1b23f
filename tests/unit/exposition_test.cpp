// SPDX-License-Identifier: Apache-2.0
// The text format, byte for byte, and what holds for every number and label.
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/base/text.hpp"
#include "agent/metrics/exposition.hpp"
#include "agent/metrics/labels.hpp"

namespace sonde::metrics {
namespace {

using testing::HasSubstr;

std::string number(double value)
{
  std::string out;
  append_number(out, value);
  return out;
}

Bounds milliseconds()
{
  return Bounds::create(std::vector<std::uint64_t>{500'000, 1'000'000, 10'000'000}, 1e-9).value();
}

TEST(Exposition, PrintsFamiliesSortedWithCumulativeHistograms)
{
  sonde_histogram counted{};
  counted.buckets[0] = 1;
  counted.buckets[2] = 2;
  counted.buckets[3] = 4;
  counted.sum = 1'250'000'000;
  Exposition out;
  out.begin("zz_total", Type::kCounter, "Last.");
  out.sample({}, std::uint64_t{18446744073709551615U});
  out.sample({R"(service="api")", "", R"(mode="user")"}, 0.25);
  out.begin("aa_seconds", Type::kHistogram, "A \\ and\na line.");
  out.histogram({R"(service="api")"}, milliseconds(), counted);
  out.histogram({}, milliseconds(), sonde_histogram{});
  EXPECT_EQ(out.body(), R"(# HELP aa_seconds A \\ and\na line.
# TYPE aa_seconds histogram
aa_seconds_bucket{service="api",le="0.0005"} 1
aa_seconds_bucket{service="api",le="0.001"} 1
aa_seconds_bucket{service="api",le="0.01"} 3
aa_seconds_bucket{service="api",le="+Inf"} 7
aa_seconds_sum{service="api"} 1.25
aa_seconds_count{service="api"} 7
aa_seconds_bucket{le="0.0005"} 0
aa_seconds_bucket{le="0.001"} 0
aa_seconds_bucket{le="0.01"} 0
aa_seconds_bucket{le="+Inf"} 0
aa_seconds_sum 0
aa_seconds_count 0
# HELP zz_total Last.
# TYPE zz_total counter
zz_total 18446744073709551615
zz_total{service="api",mode="user"} 0.25
)");
}

TEST(Exposition, CountsInInfWhatTheKernelFiledAboveTheLastBound)
{
  sonde_histogram counted{};
  for (auto& bucket : counted.buckets)
    bucket = 1;
  Exposition out;
  out.begin("x", Type::kHistogram, "");
  out.histogram({}, milliseconds(), counted);
  EXPECT_THAT(out.body(), HasSubstr("x_bucket{le=\"0.01\"} 3\n"));
  EXPECT_THAT(out.body(),
              HasSubstr("x_bucket{le=\"+Inf\"} " + std::to_string(SONDE_BUCKETS) + "\n"));
  EXPECT_THAT(out.body(), HasSubstr("x_count " + std::to_string(SONDE_BUCKETS) + "\n"));
}

TEST(Exposition, PrintsNumbersAsPrometheusDoes)
{
  EXPECT_EQ(number(0), "0");
  EXPECT_EQ(number(-0.0), "-0");
  EXPECT_EQ(number(-17), "-17");
  EXPECT_EQ(number(0.1), "0.1");
  EXPECT_EQ(number(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(number(0.0001), "0.0001");
  EXPECT_EQ(number(0.00001), "1e-05");
  EXPECT_EQ(number(1e15 + 0.5), "1000000000000000.5");
  EXPECT_EQ(number(9007199254740991), "9007199254740991");
  EXPECT_EQ(number(1e21), "1e+21");
  EXPECT_EQ(number(std::numeric_limits<double>::max()), "1.7976931348623157e+308");
  EXPECT_EQ(number(std::numeric_limits<double>::denorm_min()), "5e-324");
  EXPECT_EQ(number(std::numeric_limits<double>::infinity()), "+Inf");
  EXPECT_EQ(number(-std::numeric_limits<double>::infinity()), "-Inf");
  EXPECT_EQ(number(std::nan("")), "NaN");
}

TEST(Exposition, PrintsEveryNumberSoThatItReadsBackTheSame)
{
  std::mt19937_64 random(7663);
  for (int i = 0; i < 200'000; ++i) {
    const auto value = std::bit_cast<double>(random());
    if (!std::isfinite(value))
      continue;
    const auto text = number(value);
    ASSERT_EQ(parse_number<double>(text), value) << text;
    ASSERT_LT(text.size(), 26U) << text;
  }
}

TEST(Exposition, KeepsAnyLabelValueOnOneLineAndWithinItsQuotes)
{
  EXPECT_EQ(label_block({{"a", "x\\y\"z\n"}, {"b", ""}}), R"(a="x\\y\"z\n",b="")");
  std::mt19937 random(7663);
  for (int round = 0; round < 20'000; ++round) {
    std::string value(random() % 200, '\0');
    for (auto& byte : value)
      byte = static_cast<char>(random());
    const auto escaped = escape_label(value);
    ASSERT_EQ(valid_utf8(escaped), escaped);
    ASSERT_LE(escaped.size(), 2 * kMaxLabelBytes);
    bool after_backslash = false;
    for (const char c : escaped) {
      ASSERT_NE(c, '\n');
      ASSERT_TRUE(c != '"' || after_backslash);
      after_backslash = c == '\\' && !after_backslash;
    }
    ASSERT_FALSE(after_backslash) << "the closing quote would be escaped";
  }
}

TEST(Exposition, FoldsWhatExceedsItsLinesAndNeverHalfAHistogram)
{
  Exposition out(5);
  out.begin("a", Type::kGauge, "");
  out.sample({}, 1.0);
  out.begin("b", Type::kHistogram, "");
  out.histogram({}, milliseconds(), sonde_histogram{});
  out.begin("c", Type::kGauge, "");
  for (int i = 0; i < 6; ++i)
    out.sample({}, 1.0);
  EXPECT_EQ(out.lines(), 5U);
  const auto families = out.families();
  ASSERT_EQ(families.size(), 3U);
  EXPECT_EQ(families[0].lines, 1U);
  EXPECT_EQ(families[1].lines, 0U);
  EXPECT_EQ(families[1].folded, 6U);
  EXPECT_EQ(families[2].lines, 4U);
  EXPECT_EQ(families[2].folded, 2U);
}

TEST(Exposition, RepairsWhatOtherModelsCarry)
{
  prometheus::MetricFamily family{.name = "9 bad-name\xFF",
                                  .help = "not \xFF UTF-8",
                                  .type = prometheus::MetricType::Gauge,
                                  .metric = {}};
  prometheus::ClientMetric metric;
  metric.label.push_back({.name = "la:bel\n", .value = "\xFF\"\n"});
  metric.gauge.value = 1.5;
  family.metric.push_back(metric);
  Exposition out;
  out.add(family);
  EXPECT_EQ(out.body(),
            "# HELP _9_bad_name_ not \xEF\xBF\xBD UTF-8\n# TYPE _9_bad_name_ gauge\n"
            "_9_bad_name_{la_bel_=\"\xEF\xBF\xBD\\\"\\n\"} 1.5\n");
}

}  // namespace
}  // namespace sonde::metrics
