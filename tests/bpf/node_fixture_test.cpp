// SPDX-License-Identifier: Apache-2.0
// The fixture itself, with the run_queue family as its guest.
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/node_fixture.hpp"

namespace sonde::testing {
namespace {

TEST(NodeFixture, AFamilyStartsAndItsSeriesCanBeReadFromAScrape)
{
  NodeFixture node;
  const auto probe = node.start("run_queue");
  ASSERT_TRUE(probe) << probe.error().message();
  node.fixed().place(static_cast<std::uint32_t>(getpid()), "test");
  const auto switched = [&] {
    return NodeFixture::value(node.scrape(),
                              R"(service_context_switches_total{service="test",kind="voluntary"})")
               .value_or(0) > 0;
  };
  EXPECT_TRUE(NodeFixture::eventually(switched));
}

TEST(NodeFixture, ASeriesIsFoundByItsExactTextAndSumsByPartsOfItsLabels)
{
  constexpr std::string_view kText =
      "# HELP a x\na{s=\"1\",t=\"2\"} 3\na{s=\"1\",t=\"4\"} 5\nb 7\n";
  EXPECT_EQ(NodeFixture::value(kText, R"(a{s="1",t="4"})"), 5);
  EXPECT_EQ(NodeFixture::value(kText, "b"), 7);
  EXPECT_EQ(NodeFixture::value(kText, "a"), std::nullopt);
  EXPECT_EQ(NodeFixture::sum(kText, "a", {R"(s="1")"}), 8);
  EXPECT_EQ(NodeFixture::sum(kText, "a", {R"(t="4")"}), 5);
}

}  // namespace
}  // namespace sonde::testing
