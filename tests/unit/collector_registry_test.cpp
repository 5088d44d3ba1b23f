// SPDX-License-Identifier: Apache-2.0
// The collectors together: switches, ?collect[] and ?exclude[], one failing alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/collector_tree.hpp"

namespace sonde {

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr CollectorState kStates[] = {{"cpu", true}, {"loadavg", true}, {"wifi", false}};
const std::vector<std::string> kNone;

TEST(CollectorFilter, without_a_query_everything_runs)
{
  EXPECT_TRUE(make_filter(kStates, kNone, kNone)->empty());
}

TEST(CollectorFilter, collect_names_the_collectors)
{
  const std::vector<std::string> collect{"cpu"};
  EXPECT_EQ(*make_filter(kStates, collect, kNone), CollectorFilter{"cpu"});
}

TEST(CollectorFilter, exclude_leaves_the_other_enabled_ones_and_ignores_unknown_names)
{
  const std::vector<std::string> exclude{"cpu", "nonsense"};
  EXPECT_EQ(*make_filter(kStates, kNone, exclude), CollectorFilter{"loadavg"});
}

TEST(CollectorFilter, refuses_as_node_exporter_does)
{
  const auto refusal = [](const std::vector<std::string>& collect,
                          const std::vector<std::string>& exclude) {
    const auto filter = make_filter(kStates, collect, exclude);
    return filter ? "" : filter.error().message();
  };
  EXPECT_EQ(refusal({"cpu"}, {"cpu"}), "Combined collect and exclude queries are not allowed.");
  EXPECT_EQ(refusal({"nonsense"}, {}),
            "Couldn't create filtered metrics handler: couldn't create collector: missing "
            "collector: nonsense");
  EXPECT_EQ(refusal({"cpu", "wifi"}, {}),
            "Couldn't create filtered metrics handler: couldn't create collector: disabled "
            "collector: wifi");
}

TEST(NodeCollectors, a_failing_collector_fails_alone)
{
  const testing::CollectorTree tree;
  tree.write("proc/loadavg", "0.50 0.25 0.125 1/200 4711\n");
  tree.write("proc/meminfo", "MemTotal: lots kB\n");
  auto collectors = NodeCollectors::create(tree.paths(), testing::collector_settings());
  ASSERT_TRUE(collectors) << collectors.error().message();

  const auto text = testing::scrape(**collectors, {"loadavg", "meminfo"});
  EXPECT_THAT(text, HasSubstr("node_load15 0.125\n"));
  EXPECT_THAT(text, HasSubstr("node_scrape_collector_success{collector=\"loadavg\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("node_scrape_collector_success{collector=\"meminfo\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("collector=\"cpu\"")));
}

TEST(NodeCollectors, a_collector_that_failed_recovers)
{
  const testing::CollectorTree tree;
  auto collectors = testing::one_collector("loadavg", tree.paths());
  EXPECT_THAT(testing::scrape(*collectors), HasSubstr("success{collector=\"loadavg\"} 0\n"));
  tree.write("proc/loadavg", "0.50 0.25 0.125 1/200 4711\n");
  EXPECT_THAT(testing::scrape(*collectors), HasSubstr("success{collector=\"loadavg\"} 1\n"));
}

TEST(NodeCollectors, a_collector_switched_off_is_not_there)
{
  const testing::CollectorTree tree;
  auto collectors =
      testing::one_collector("loadavg", tree.paths(), {{"collector.loadavg", "false"}});
  EXPECT_EQ(testing::scrape(*collectors), "");
  EXPECT_FALSE(collectors->states().front().enabled);
}

TEST(NodeCollectors, every_name_in_the_catalogue_is_of_one_collector)
{
  std::set<std::string_view> names;
  for (const auto* info : collectors())
    for (const auto& desc : info->metrics)
      EXPECT_TRUE(names.insert(desc.name).second) << desc.name;
}

}  // namespace

}  // namespace sonde
