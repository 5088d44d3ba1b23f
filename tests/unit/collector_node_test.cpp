// SPDX-License-Identifier: Apache-2.0
// All collectors on the node under tests/data/node against tests/data/node/expected.prom;
// SONDE_UPDATE_GOLDEN=1 writes it anew.
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "tests/support/collector_tree.hpp"

#include "agent/base/text.hpp"

namespace sonde {

namespace {

// What the test's own machine and minute say: statfs(2), uname(2), clock; pages of sockets.
constexpr std::array<std::string_view, 11> kVolatile = {
    "node_filesystem_avail_bytes{",
    "node_filesystem_files_free{",
    "node_filesystem_files{",
    "node_filesystem_free_bytes{",
    "node_filesystem_size_bytes{",
    "node_time_seconds ",
    "node_time_zone_offset_seconds",
    "node_uname_info",
    "node_sockstat_TCP_mem_bytes",
    "node_sockstat_UDP_mem_bytes",
    "node_scrape_collector_duration_seconds",
};

// Volatile samples lose their value, uname and the time zone their labels too.
std::string settled(std::string_view text)
{
  std::string out;
  while (!text.empty()) {
    auto line = take_line(text);
    for (const auto prefix : kVolatile)
      if (line.starts_with(prefix))
        line = prefix.ends_with('{') ? line.substr(0, line.rfind(' ')) : prefix;
    out.append(line).append("\n");
  }
  return out;
}

TEST(Node, the_whole_exposition_is_as_expected)
{
  const std::filesystem::path root = std::filesystem::path(SONDE_TEST_DATA) / "node";
  const auto paths = testing::CollectorTree::paths_in(root);
  auto collectors = NodeCollectors::create(
      paths,
      testing::collector_settings({{"collector.cpu.info", "true"},
                                   {"collector.cpu.info.flags-include", "^(aes|avx.?)$"},
                                   {"collector.cpu.info.bugs-include", "^spectre"},
                                   {"collector.stat.softirq", "true"}}));
  ASSERT_TRUE(collectors) << collectors.error().message();
  const auto text = settled(testing::scrape(**collectors));

  const auto golden = root / "expected.prom";
  if (std::getenv("SONDE_UPDATE_GOLDEN"))
    std::ofstream(golden) << text;
  std::ifstream file(golden);
  const std::string expected{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, expected);
}

TEST(Node, a_second_scrape_says_the_same)
{
  const auto paths =
      testing::CollectorTree::paths_in(std::filesystem::path(SONDE_TEST_DATA) / "node");
  auto collectors = NodeCollectors::create(paths, testing::collector_settings());
  ASSERT_TRUE(collectors) << collectors.error().message();
  const auto first = settled(testing::scrape(**collectors));
  EXPECT_EQ(settled(testing::scrape(**collectors)), first);
}

}  // namespace

}  // namespace sonde
