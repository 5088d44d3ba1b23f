// SPDX-License-Identifier: Apache-2.0
// A real Go program's runtime, read from its memory and compared with what it says itself. No
// privilege: a process may look at its children.
#include <chrono>
#include <csignal>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/go_target.hpp"

#ifdef SONDE_GO_SAMPLES

namespace sonde::testing {
namespace {

using runtime::GoAbsence;

constexpr auto kStripped = SONDE_GO_SAMPLES "/runtime_stripped";

class GoProcess : public ::testing::TestWithParam<const char*> {};

// A collection may fall between two looks, so that a value was elsewhere in between: the next
// looks then agree.
TEST_P(GoProcess, HasTheValuesItTellsOfItself)
{
  const GoTarget target(GetParam(), {"GOMAXPROCS=3"});
  target.ask("work");
  auto watch = GoWatch::open(target.pid());
  ASSERT_TRUE(watch) << watch.error().message();
  for (const auto* command : {"work", "park 500", "procs 1", "limit 20000000", "work", "release"}) {
    target.ask(command);
    GoComparison last;
    for (int i = 0; i < 20; ++i) {
      const auto result = compare(target, *watch);
      ASSERT_TRUE(result) << result.error().message();
      last = *result;
      if (last.differences.empty())
        break;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    EXPECT_GE(last.compared, 80U);
    EXPECT_EQ(last.differences, std::vector<std::string>()) << "after " << command;
  }
}

TEST_P(GoProcess, HasAsManyGoroutinesAsItSays)
{
  const GoTarget target(GetParam());
  target.ask("work");
  auto watch = GoWatch::open(target.pid());
  ASSERT_TRUE(watch) << watch.error().message();
  for (const auto* command : {"park 1", "park 30000", "release", "park 5"}) {
    target.ask(command);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto told = target.ask("dump");
    const auto read = watch->sample();
    ASSERT_TRUE(read);
    EXPECT_EQ(static_cast<double>(read->goroutines), told.at("go_goroutines")) << command;
  }
}

INSTANTIATE_TEST_SUITE_P(Builds,
                         GoProcess,
                         ::testing::Values(kStripped, SONDE_GO_SAMPLES "/runtime_pie_stripped"));

// The statistics lie in three parts that every reader in the process moves on: one that falls in
// between must neither count a part twice nor leave it out.
TEST(GoProcessUnderWay, NeverCountsBackwards)
{
  const GoTarget target(kStripped, {"GOMAXPROCS=2"});
  target.ask("work");
  auto watch = GoWatch::open(target.pid());
  ASSERT_TRUE(watch) << watch.error().message();
  target.ask("churn");
  runtime::GoSample last;
  std::size_t read = 0;
  std::size_t looks = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  for (; std::chrono::steady_clock::now() < end; ++looks) {
    const auto sample = watch->sample();
    if (!sample) {
      EXPECT_NE(sample.error(), GoAbsence::kGone);
      continue;
    }
    ++read;
    EXPECT_GE(sample->mallocs, last.mallocs);
    EXPECT_GE(sample->frees, last.frees);
    EXPECT_GE(sample->total_alloc, last.total_alloc);
    EXPECT_LE(sample->mallocs, last.mallocs + 10'000'000);
    EXPECT_GE(sample->goroutines, 3U);
    last = *sample;
  }
  EXPECT_GE(10 * read, 9 * looks);
}

TEST(GoProcessUnderWay, IsReadWhileItIsStopped)
{
  const GoTarget target(kStripped);
  target.ask("park 7");
  auto watch = GoWatch::open(target.pid());
  ASSERT_TRUE(watch) << watch.error().message();
  const auto told = target.ask("dump");
  ::kill(target.pid(), SIGSTOP);
  const auto read = watch->sample();
  ASSERT_TRUE(read);
  EXPECT_EQ(static_cast<double>(read->goroutines), told.at("go_goroutines"));
}

TEST(GoProcessUnderWay, IsGoneWhenItHasEnded)
{
  GoTarget target(kStripped);
  target.ask("work");
  auto watch = GoWatch::open(target.pid());
  ASSERT_TRUE(watch) << watch.error().message();
  ASSERT_TRUE(watch->sample());
  target.kill();
  const auto read = watch->sample();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error(), GoAbsence::kGone);
  EXPECT_FALSE(watch->memory().alive());
}

// From the first instruction on: absent until the runtime is there, then right, never anything
// else.
TEST(GoProcessUnderWay, IsStartingUntilItsRuntimeIsThere)
{
  for (int round = 0; round < 20; ++round) {
    const GoTarget target(kStripped);
    auto watch = GoWatch::open(target.pid());
    // The file is this test's own until the exec.
    for (int i = 0; i < 1000 && !watch; ++i)
      watch = GoWatch::open(target.pid());
    ASSERT_TRUE(watch) << watch.error().message();
    for (int i = 0; i < 100'000; ++i) {
      if (const auto read = watch->sample()) {
        EXPECT_GE(read->goroutines, 1U);
        EXPECT_GE(read->heap_sys, 1U << 20U);
        break;
      } else {
        ASSERT_TRUE(read.error() == GoAbsence::kStarting || read.error() == GoAbsence::kGone)
            << name_of(read.error());
      }
    }
  }
}

}  // namespace
}  // namespace sonde::testing

#endif
