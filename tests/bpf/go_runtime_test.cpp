// SPDX-License-Identifier: Apache-2.0
// The go_runtime family with real Go processes, found as the agent finds them.
#include <fmt/format.h>
#include <memory>

#include <gtest/gtest.h>

#include "tests/support/go_target.hpp"
#include "tests/support/node_fixture.hpp"

#ifdef SONDE_GO_SAMPLES

namespace sonde::testing {
namespace {

constexpr auto kProgram = SONDE_GO_SAMPLES "/runtime_pie_stripped";

std::unique_ptr<GoTarget> start_target()
{
  return std::make_unique<GoTarget>(
      kProgram, std::vector<std::string>{"OTEL_SERVICE_NAME=gopher", "GOMAXPROCS=2"});
}

class GoRuntimeTest : public ::testing::Test {
protected:
  void start()
  {
    node_ = std::make_unique<NodeFixture>(NodeFixture::discovered());
    for (const auto* family : {"process", "go_runtime"}) {
      const auto probe = node_->start(family);
      ASSERT_TRUE(probe) << probe.error().message();
    }
  }

  std::optional<double> value(std::string_view name, const GoTarget& target)
  {
    return NodeFixture::value(
        node_->scrape(), fmt::format(R"({}{{service="gopher",pid="{}"}})", name, target.pid()));
  }
  bool reaches(std::string_view name, const GoTarget& target, std::optional<double> wanted)
  {
    return NodeFixture::eventually([&] { return value(name, target) == wanted; });
  }

  std::unique_ptr<NodeFixture> node_;
};

TEST_F(GoRuntimeTest, TellsOfProcessesFromBeforeAndAfterItsStartUntilTheyEnd)
{
  const auto before = start_target();
  before->ask("park 10");
  ASSERT_NO_FATAL_FAILURE(start());
  const auto after = start_target();
  after->ask("park 20");
  EXPECT_TRUE(reaches("go_goroutines", *before, before->ask("dump").at("go_goroutines")));
  EXPECT_TRUE(reaches("go_goroutines", *after, after->ask("dump").at("go_goroutines")));
  EXPECT_TRUE(reaches("go_sched_gomaxprocs_threads", *after, 2));
  const auto dead = fmt::format("pid=\"{}\"", after->pid());
  after->kill();
  EXPECT_EQ(node_->scrape().find(dead), std::string::npos);
  EXPECT_TRUE(reaches("go_sched_gomaxprocs_threads", *before, 2));
}

TEST_F(GoRuntimeTest, HasAtMostThirtyTwoProcessesOfAServiceAndCountsTheOthers)
{
  ASSERT_NO_FATAL_FAILURE(start());
  std::vector<std::unique_ptr<GoTarget>> targets;
  for (int i = 0; i < 35; ++i)
    targets.push_back(start_target());
  EXPECT_TRUE(NodeFixture::eventually([&] {
    const auto text = node_->scrape();
    return NodeFixture::sum(text, "go_info", {"service=\"gopher\""}) == 32 &&
           NodeFixture::sum(text, "sonde_go_processes", {"over_limit"}) == 3;
  }));
  // The oldest are kept.
  EXPECT_TRUE(reaches("go_sched_gomaxprocs_threads", *targets[0], 2));
  targets.erase(targets.begin(), targets.begin() + 3);
  EXPECT_TRUE(reaches("go_sched_gomaxprocs_threads", *targets.back(), 2));
}

}  // namespace
}  // namespace sonde::testing

#endif
