// SPDX-License-Identifier: Apache-2.0
// What is made of a Go process' memory, and of one that changes while it is read.
#include <chrono>
#include <future>

#include <gtest/gtest.h>

#include "tests/support/fake_go_process.hpp"

#include "agent/probes/go_metrics.hpp"
#include "agent/runtime/timed_work.hpp"

namespace sonde::testing {
namespace {

using runtime::GoAbsence;
using runtime::kNoField;
using runtime::ReadFailure;

class GoMemory : public ::testing::TestWithParam<unsigned> {};

TEST_P(GoMemory, IsSummedUpAsTheRuntimeDoes)
{
  FakeGoProcess process(GetParam());
  const auto& layout = *process.program.layout;
  const auto& stats = layout.heap_stats;
  process.set_heap_stat(0, 24, 512 << 10U);  // in stacks
  process.set_heap_stat(0, 0, (5U << 20U) + (512U << 10U));
  process.set_heap_stat(0, stats.small_allocs + 8 * 5, 100);
  process.set_heap_stat(0, stats.small_allocs + 8 * 67, 10);
  process.set_heap_stat(0, stats.large_allocs, 3);
  process.set_heap_stat(0, stats.tiny_allocs, 1000);
  process.set_heap_stat(0, stats.small_frees + 8 * 5, 40);
  process.set_heap_stat(0, stats.large_frees, 1);
  const auto memstats = process.program.variables.memstats;
  process.set(memstats + layout.memstats.stacks_sys, std::uint64_t{7});
  process.set(memstats + layout.memstats.num_gc, std::uint32_t{2});
  process.set(memstats + layout.memstats.pauses, std::uint64_t{500});
  process.set(memstats + layout.memstats.pauses + 8, std::uint64_t{300});
  process.set(memstats + layout.memstats.pause_total, std::uint64_t{800});
  process.set(memstats + layout.memstats.last_gc, std::uint64_t{1'700'000'000'000'000'000});
  const auto sched = process.program.variables.scheduler;
  process.set(sched + layout.scheduler.system, std::int32_t{4});
  process.set(sched + layout.scheduler.free[0], std::int32_t{2});
  process.put(FakeGoProcess::processor(1) + layout.processor.free, std::int32_t{3});

  const auto sample = process.sample();
  ASSERT_TRUE(sample) << name_of(sample.error());
  EXPECT_EQ(process.reads, 3);
  EXPECT_EQ(sample->goroutines, 20U - 4 - 2 - 3);
  EXPECT_EQ(sample->threads, 7U);
  EXPECT_EQ(sample->processors, 2U);
  EXPECT_EQ(sample->mallocs, 1113U);
  EXPECT_EQ(sample->frees, 1041U);
  EXPECT_EQ(sample->heap_objects, 72U);
  // Go 1.18 has no other sum than that of all sizes.
  const auto small = GetParam() > 18 ? 0U : (100U - 40U) * 48U + 10U * 32768U;
  EXPECT_EQ(sample->heap_alloc, (2U << 20U) + small);
  EXPECT_EQ(sample->heap_sys, 13U << 20U);
  EXPECT_EQ(sample->heap_idle, 9U << 20U);
  EXPECT_EQ(sample->stack_in_use, 512U << 10U);
  EXPECT_EQ(sample->stack_sys, (512U << 10U) + 7);
  EXPECT_EQ(sample->num_gc, 2U);
  EXPECT_EQ(sample->pause_total_ns, 800U);
  EXPECT_EQ(sample->pause_quantiles_ns, (std::array<std::uint64_t, 5>{300, 300, 500, 500, 500}));
  EXPECT_EQ(sample->other_pauses.layout != nullptr, GetParam() >= 22);
}

// The statistics of three generations: the current, the sum of the former ones, and nothing.
TEST_P(GoMemory, AddsUpTheTwoPartsThatCount)
{
  for (std::uint32_t generation = 0; generation < 3; ++generation) {
    FakeGoProcess process(GetParam());
    const auto& stats = process.program.layout->heap_stats;
    for (std::uint32_t offset = 0; offset < 24; offset += 8)
      process.set_heap_stat(0, offset, 0);
    process.set_heap_stat(0, stats.large_allocs - 8, 0);
    process.set_heap_stat(0, stats.large_frees - 8, 0);
    const auto before = (generation + 2) % 3;
    process.set(process.program.variables.memstats + process.program.layout->memstats.heap_stats +
                    stats.generation(),
                generation);
    process.set_heap_stat(before, 0, 6U << 20U);
    process.set_heap_stat(generation, 0, ~std::uint64_t{0} << 20U);  // -1 MiB
    process.set_heap_stat(before, 8, 8U << 20U);
    process.set_heap_stat(before, 16, 4U << 20U);
    process.set_heap_stat(before, stats.large_allocs, 5);
    process.set_heap_stat(generation, stats.large_allocs, 7);
    const auto sample = process.sample();
    ASSERT_TRUE(sample) << name_of(sample.error());
    EXPECT_EQ(sample->mallocs, 12U);
    process.set_heap_stat((generation + 1) % 3, stats.large_allocs, 1);
    EXPECT_EQ(process.sample().error(), GoAbsence::kUnsettled);
  }
}

INSTANTIATE_TEST_SUITE_P(Versions, GoMemory, ::testing::Range(18U, 29U));

TEST(GoMemoryAbsent, WhenTheProcessHasGoneOrMayNotBeRead)
{
  FakeGoProcess process(26);
  process.failure = ReadFailure::kGone;
  EXPECT_EQ(process.sample().error(), GoAbsence::kGone);
  process.failure = ReadFailure::kFault;
  EXPECT_EQ(process.sample().error(), GoAbsence::kGone);
  process.failure = ReadFailure::kDenied;
  EXPECT_EQ(process.sample().error(), GoAbsence::kDenied);
}

TEST(GoMemoryAbsent, WhenAnotherProgramIsExecutedBetweenAnyTwoReads)
{
  for (int at = 1; at <= 3; ++at) {
    FakeGoProcess process(26);
    process.before_read = [&](int read) {
      if (read == at)
        process.set(process.program.code_words + 8, std::uint64_t{0x1234});
    };
    EXPECT_EQ(process.sample().error(), GoAbsence::kGone);
    EXPECT_EQ(process.reads, at);
  }
}

TEST(GoMemoryAbsent, UntilTheRuntimeHasStarted)
{
  FakeGoProcess process(26);
  process.set(process.program.variables.memstats + process.program.layout->memstats.enabled,
              std::uint8_t{0});
  process.set_slice(process.program.variables.processors, 0, 0, 0);
  EXPECT_EQ(process.sample().error(), GoAbsence::kStarting);
}

TEST(GoMemoryAbsent, WhenAPageThatIsNeededIsInSwap)
{
  FakeGoProcess process(26);
  process.in_swap = FakeGoProcess::kBias + process.program.variables.scheduler + 100;
  EXPECT_EQ(process.sample().error(), GoAbsence::kSwapped);
  process.in_swap = FakeGoProcess::processor(1);
  EXPECT_EQ(process.sample().error(), GoAbsence::kSwapped);
}

TEST(GoMemoryAbsent, WhenSumsDoNotAgree)
{
  FakeGoProcess process(26);
  process.set_controller(process.program.layout->controller.heap_in_use, 1U << 30U);
  EXPECT_EQ(process.sample().error(), GoAbsence::kImplausible);
}

TEST(GoMemoryAbsent, WhenAProcessorIsNotWhatItShouldBe)
{
  FakeGoProcess process(26);
  process.put(FakeGoProcess::processor(1), std::uint32_t{7});
  EXPECT_EQ(process.sample().error(), GoAbsence::kImplausible);
  process.set_slice(process.program.variables.processors, 0x7100'0000, std::uint64_t{1} << 40U, 1);
  EXPECT_EQ(process.sample().error(), GoAbsence::kImplausible);
}

TEST(GoMemoryRetries, WhenTheNumberOfProcessorsChanges)
{
  FakeGoProcess process(26);
  process.before_read = [&](int read) {
    if (read == 3)
      process.set_slice(process.program.variables.processors, 0x7100'0000, 1, 4);
  };
  const auto sample = process.sample();
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->processors, 1U);
  EXPECT_EQ(process.reads, 6);
}

TEST(GoLayouts, AreOfTheVersionOrTheNewestThatIsKnown)
{
  EXPECT_EQ(runtime::layout_of({1, 17, 10}), nullptr);
  EXPECT_EQ(runtime::layout_of({1, 22, 3})->minor, 22U);
  EXPECT_EQ(runtime::layout_of({1, 99, 0})->minor, 27U);
  EXPECT_EQ(runtime::layout_of({2, 0, 0})->minor, 27U);
}

TEST(GoMetrics, AHistogramHasClientGolangsBoundsAndCountsBelowThem)
{
  FakeGoProcess process(26);
  const auto& layout = *process.program.layout;
  const auto latencies = process.program.variables.scheduler + layout.scheduler.latencies;
  const auto count = [&](std::uint64_t word, std::uint64_t n) {
    process.set(latencies + 8 * word, n);
  };
  count(0, 5);    // [0, 64) ns
  count(1, 2);    // [64, 128)
  count(160, 1);  // below 0
  count(161, 3);  // beyond the last bound
  auto sample = process.sample();
  ASSERT_TRUE(sample);
  const go_runtime::Reading reading{
      R"(service="s",pid="1")", R"(path="p")", R"(version="go1.26")", *std::move(sample)};
  metrics::Exposition out;
  go_runtime::expose(out, {&reading, 1}, false);
  const auto body = out.body();
  for (const auto* line : {
           R"(go_sched_latencies_seconds_bucket{service="s",pid="1",le="6.399999999999999e-08"} 6)",
           R"(go_sched_latencies_seconds_bucket{service="s",pid="1",le="6.399999999999999e-07"} 8)",
           R"(go_sched_latencies_seconds_bucket{service="s",pid="1",le="0.11744051199999998"} 8)",
           R"(go_sched_latencies_seconds_bucket{service="s",pid="1",le="+Inf"} 11)",
           R"(go_sched_latencies_seconds_count{service="s",pid="1"} 11)",
           R"(go_gc_duration_seconds{service="s",pid="1",quantile="0.75"} 0)",
           R"(go_info{service="s",pid="1",version="go1.26"} 1)",
           R"(go_threads{service="s",pid="1"} 7)",
           "# TYPE go_gc_duration_seconds summary",
       })
    EXPECT_NE(body.find(std::string(line) + "\n"), std::string::npos) << line;
  EXPECT_EQ(body.find("go_sched_pauses"), std::string::npos);
}

TEST(TimedWork, IsNotWaitedForLongerThanItsLimit)
{
  std::promise<void> go;
  const auto gone = go.get_future().share();
  std::atomic<int> done = 0;
  {
    runtime::TimedWork work;
    EXPECT_TRUE(work.run([&] { ++done; }, std::chrono::seconds(10)));
    for (int i = 0; i < runtime::TimedWork::kMostLost; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      EXPECT_FALSE(work.run([&] { gone.wait(), ++done; }, std::chrono::milliseconds(5)));
      EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
    }
    // No more threads are lost.
    EXPECT_FALSE(work.run([&] { ++done; }, std::chrono::seconds(10)));
    EXPECT_EQ(done, 1);
    go.set_value();
    while (done < 1 + runtime::TimedWork::kMostLost)
      std::this_thread::yield();
    bool again = false;
    for (int i = 0; i < 1000 && !again; ++i) {
      again = work.run([&] { ++done; }, std::chrono::seconds(10));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_TRUE(again);
  }
}

}  // namespace
}  // namespace sonde::testing
