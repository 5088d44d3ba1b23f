// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/app/catalogue.hpp"
#include "agent/app/declarations.hpp"
#include "agent/app/markdown.hpp"

namespace sonde::app {
namespace {

using ::testing::HasSubstr;

TEST(Catalogue, NamesEveryFamilyOnce)
{
  std::map<std::string_view, std::string> seen;
  for (const auto& section : catalogue())
    for (const auto& metric : section.metrics) {
      const auto [first, fresh] = seen.emplace(metric.name, section.title);
      EXPECT_TRUE(fresh) << metric.name << ": " << first->second << ", " << section.title;
    }
}

TEST(Catalogue, FollowsTheConventionsOfPrometheus)
{
  for (const auto& section : catalogue())
    for (const auto& metric : section.metrics) {
      EXPECT_FALSE(metric.help.empty()) << metric.name;
      EXPECT_EQ(metric.help.find('\n'), std::string_view::npos) << metric.name;
      const bool own = metric.name.starts_with("service_") || metric.name.starts_with("sonde_");
      const bool counter = metric.type == metrics::Type::kCounter;
      EXPECT_TRUE(!own || !counter || metric.name.ends_with("_total")) << metric.name;
    }
}

TEST(Catalogue, IsPrintedAsTextAndMarkdown)
{
  constexpr metrics::Desc kMetrics[] = {
      {"a_total", metrics::Type::kCounter, "Something | else.", "service mode"},
      {"a_longer_name_bytes", metrics::Type::kGauge, "Bytes."},
  };
  const CatalogueSection sections[] = {{"probe family a", kMetrics}};
  EXPECT_EQ(catalogue_text(sections),
            "probe family a\n"
            "  a_total              counter    service mode  Something | else.\n"
            "  a_longer_name_bytes  gauge      -             Bytes.\n");
  EXPECT_THAT(catalogue_markdown(sections),
              HasSubstr("| `a_total` | counter | service mode | Something \\| else. |\n"));
}

TEST(Declared, EveryKeyOnceWithADefaultThatItsReaderAccepts)
{
  std::set<std::string_view> seen;
  for (const auto table : declarations().tables())
    for (const auto& setting : table) {
      EXPECT_TRUE(seen.insert(setting.key).second) << setting.key;
      EXPECT_FALSE(setting.help.empty()) << setting.key;
      EXPECT_EQ(setting.key.find_first_of(" =,*"), std::string_view::npos) << setting.key;
      const auto value = read_value(setting, setting.fallback);
      EXPECT_TRUE(value) << setting.key << ": " << (value ? "" : value.error().message());
    }
}

TEST(Markdown, ABlockIsWhatStandsBetweenItsMarkers)
{
  constexpr std::string_view kDocument = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n";
  EXPECT_EQ(block_of(kDocument, "x"), "old\n");
  EXPECT_EQ(with_block(kDocument, "x", "new\n"), "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n");
  EXPECT_FALSE(block_of(kDocument, "y"));
  EXPECT_FALSE(with_block("<!-- x -->\nno end", "x", ""));
}

}  // namespace
}  // namespace sonde::app
