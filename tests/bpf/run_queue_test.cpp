// SPDX-License-Identifier: Apache-2.0
// The run_queue family against the kernel's own accounts of real processes, with each clock.
#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/kernel.hpp"
#include "tests/support/node_fixture.hpp"
#include "tests/support/worker.hpp"

#include "agent/base/clock.hpp"
#include "agent/bpf/features.hpp"

namespace sonde {
namespace {

using testing::NodeFixture;
using testing::Worker;

constexpr auto kCpuSeconds = "service_cpu_seconds_total";
constexpr auto kWaitSum = "service_run_queue_latency_seconds_sum";
constexpr auto kWaitCount = "service_run_queue_latency_seconds_count";
constexpr auto kAbsent = "service_off_cpu_seconds_total";

std::string service(std::string_view name)
{
  return fmt::format("service=\"{}\"", name);
}

class RunQueue : public ::testing::TestWithParam<std::string> {
protected:
  void SetUp() override
  {
    const bool storage_alone = GetParam() == "storage";
    node_.set("run_queue.clock", storage_alone ? "rq" : GetParam());
    node_.set("run_queue.cells", storage_alone ? "1" : "8192");
    const auto started = node_.start("run_queue");
    ASSERT_TRUE(started) << started.error().message();
    bool has_storage = true;
    for (const auto& hook : node_.hooks().all())
      has_storage = has_storage && hook.hook != "task_storage";
    if (storage_alone && !has_storage)
      GTEST_SKIP() << "this kernel gives tasks no storage for tracing programs";
    // Kernels that have it must be found to have it; from 7.0 on it takes cmpxchg16b.
    if (bpf::Features::has_map(BPF_MAP_TYPE_TASK_STORAGE) && !has_storage) {
      EXPECT_FALSE(testing::cpu_has_cmpxchg16b());
    }
  }

  double of(std::string_view name, std::string_view family, const std::string& more = "")
  {
    return NodeFixture::sum(node_.scrape(), family, {service(name), more});
  }

  void place(const Worker& worker, const std::string& name)
  {
    node_.on_loop([&] { node_.fixed().place(worker.tgid(), name); });
  }

  NodeFixture node_;
};

TEST_P(RunQueue, CpuSecondsFollowABusyLoopEvenWhileItRuns)
{
  Worker worker([] { testing::spin(2'500'000'000); }, 0);
  place(worker, "busy");
  const auto before = worker.kernel();
  worker.go();
  double last = 0;
  for (int i = 0; i < 4; ++i) {
    testing::sleep_ns(500'000'000);
    // The process goes on while it is read: the truth lies between two readings of schedstat,
    // which itself lags by up to a tick.
    const double kernel_before = seconds(worker.kernel().cpu_ns - before.cpu_ns);
    const double shown = of("busy", kCpuSeconds);
    const double kernel_after = seconds(worker.kernel().cpu_ns - before.cpu_ns);
    const double slack = std::max(0.02 * kernel_after, 0.012);
    EXPECT_GE(shown, kernel_before - slack) << "reading " << i;
    EXPECT_LE(shown, kernel_after + slack) << "reading " << i;
    EXPECT_GE(shown, last);
    last = shown;
  }
  worker.wait_until_done();
  const double kernel = seconds(worker.kernel().cpu_ns - before.cpu_ns);
  EXPECT_NEAR(of("busy", kCpuSeconds), kernel, 0.02 * kernel);
}

TEST_P(RunQueue, SwitchesEqualTheStatusFileOfTheProcess)
{
  Worker rival([] { testing::spin(900'000'000); }, 0);
  Worker worker(
      [] {
        for (int i = 0; i < 300; ++i) {
          testing::sleep_ns(300'000);
          testing::spin(1'000'000);
        }
      },
      0);
  place(worker, "switching");
  const auto before = worker.kernel();
  rival.go();
  worker.go();
  worker.wait_until_done();
  rival.wait_until_done();
  const auto after = worker.kernel();
  const auto text = node_.scrape();
  const auto kind = [&](std::string_view name) {
    return NodeFixture::sum(text,
                            "service_context_switches_total",
                            {service("switching"), fmt::format("kind=\"{}\"", name)});
  };
  EXPECT_EQ(kind("voluntary"), static_cast<double>(after.voluntary - before.voluntary));
  EXPECT_EQ(kind("involuntary"), static_cast<double>(after.involuntary - before.involuntary));
}

TEST_P(RunQueue, WaitsAddUpToSchedstatWhenPinned)
{
  const auto work = [] {
    for (int i = 0; i < 100; ++i) {
      testing::spin(5'000'000);
      testing::sleep_ns(200'000);
    }
  };
  Worker one(work, 0);
  Worker two(work, 0);
  place(one, "pinned");
  place(two, "pinned");
  const auto before = one.kernel().run_delay_ns + two.kernel().run_delay_ns;
  one.go();
  two.go();
  one.wait_until_done();
  two.wait_until_done();
  const double kernel = seconds(one.kernel().run_delay_ns + two.kernel().run_delay_ns - before);
  ASSERT_GT(kernel, 0.2);
  EXPECT_NEAR(of("pinned", kWaitSum), kernel, 0.05 * kernel);
}

TEST_P(RunQueue, EachWaitIsInTheBucketOfItsLength)
{
  const auto work = [] {
    for (int i = 0; i < 60; ++i) {
      testing::spin(5'000'000);
      testing::sleep_ns(200'000);
    }
  };
  Worker one(work, 0);
  Worker two(work, 0);
  place(one, "bucketed");
  place(two, "bucketed");
  one.go();
  two.go();
  one.wait_until_done();
  two.wait_until_done();
  const auto text = node_.scrape();
  // The sum lies between what the buckets allow at least and at most.
  double least = 0;
  double most = 0;
  double below = 0;
  double lower = 0;
  for (double upper = 1e-6; upper < 17; upper *= 2) {
    const double count = NodeFixture::sum(text,
                                          "service_run_queue_latency_seconds_bucket",
                                          {service("bucketed"), fmt::format("le=\"{}\"", upper)}) -
                         below;
    least += count * lower;
    most += count * upper;
    below += count;
    lower = upper;
  }
  EXPECT_EQ(below, NodeFixture::sum(text, kWaitCount, {service("bucketed")}));
  const double sum = NodeFixture::sum(text, kWaitSum, {service("bucketed")});
  EXPECT_GE(sum, least);
  EXPECT_LE(sum, most);
  EXPECT_GT(sum, 0.1);
}

TEST_P(RunQueue, WaitsAddUpToSchedstatWhenTasksMoveBetweenCpus)
{
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < testing::cpu_count() + 2; ++i)
    workers.push_back(std::make_unique<Worker>([] {
      for (int k = 0; k < 60; ++k) {
        testing::spin(5'000'000);
        testing::sleep_ns(100'000);
      }
    }));
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  for (const auto& worker : workers) {
    place(*worker, "moving");
    before += worker->kernel().run_delay_ns;
  }
  for (const auto& worker : workers)
    worker->go();
  for (const auto& worker : workers)
    worker->wait_until_done();
  for (const auto& worker : workers)
    after += worker->kernel().run_delay_ns;
  const double kernel = seconds(after - before);
  EXPECT_NEAR(of("moving", kWaitSum), kernel, 0.1 * kernel);
}

TEST_P(RunQueue, CpuAndWaitsAndAbsencesAddUpToTheLifetime)
{
  // Done before the work is: what the work waits for after its last look at the clock is in no
  // lifetime.
  Worker rival([] { testing::spin(600'000'000); }, 0);
  // The work measures its own life: from its first moment awake to its last.
  int report[2];
  ASSERT_EQ(::pipe(report), 0);
  Worker worker(
      [&] {
        const auto begin = monotonic_ns();
        // Long enough that what it does outside its two looks at the clock, 10 ms on an emulated
        // machine, is less than the tolerance.
        for (int i = 0; i < 450; ++i) {
          testing::spin(2'000'000);
          testing::sleep_ns(3'000'000);
        }
        const auto lifetime = monotonic_ns() - begin;
        (void)!::write(report[1], &lifetime, sizeof lifetime);
      },
      0);
  place(worker, "whole");
  // First the worker: it must not wait for the rival before it looks at the clock.
  worker.go();
  rival.go();
  worker.wait_until_done();
  rival.wait_until_done();
  std::uint64_t lifetime_ns = 0;
  ASSERT_EQ(::read(report[0], &lifetime_ns, sizeof lifetime_ns),
            static_cast<ssize_t>(sizeof lifetime_ns));
  ::close(report[0]);
  ::close(report[1]);
  const double lifetime = seconds(lifetime_ns);
  const double parts = of("whole", kCpuSeconds) + of("whole", kWaitSum) + of("whole", kAbsent);
  EXPECT_NEAR(parts, lifetime, 0.01 * lifetime);
  EXPECT_NEAR(of("whole", kAbsent, R"(reason="sleep")"), of("whole", kAbsent), 0.002);
}

TEST_P(RunQueue, ServicesAddUpToTheNodeAndNothingFallsWhenSlotsAreReused)
{
  double expired = 0;
  double last_other = 0;
  int short_rounds = 0;
  for (int round = 0; round < 20; ++round) {
    const auto name = fmt::format("round{}", round);
    Worker worker([] {
      for (int i = 0; i < 20; ++i)
        testing::sleep_ns(200'000);
    });
    place(worker, name);
    const auto before = worker.kernel();
    worker.go();
    worker.wait_until_done();
    const auto after = worker.kernel();
    worker.finish();
    const auto text = node_.scrape();
    const double own = NodeFixture::sum(text, kWaitCount, {service(name)});
    const double other = NodeFixture::sum(text, kWaitCount, {service("other")});
    // It blocked before and after: as many ways onto a CPU as off it, and those of its end.
    const auto switches =
        after.voluntary + after.involuntary - before.voluntary - before.involuntary;
    short_rounds += own < static_cast<double>(switches) ? 1 : 0;
    EXPECT_GE(own, 1);
    EXPECT_GE(other, last_other);
    last_other = other;
    EXPECT_EQ(NodeFixture::sum(text, "node_run_queue_latency_seconds_count"),
              NodeFixture::sum(text, kWaitCount) + expired)
        << "round " << round;
    node_.on_loop([&] { node_.fixed().release(name); });
    expired += own;
  }
  // Some virtual machines have a task (of their console) while which no BPF program runs: a switch
  // away from it is seen by nobody.
  EXPECT_LE(short_rounds, 2);
}

TEST_P(RunQueue, AProcessThatChangesItsServiceWhileItRunsKeepsEveryValueFromFalling)
{
  Worker worker([] { testing::spin(1'200'000'000); }, 0);
  place(worker, "first");
  worker.go();
  double first = 0;
  double second = 0;
  for (int i = 0; i < 10; ++i) {
    testing::sleep_ns(100'000'000);
    if (i == 5)
      place(worker, "second");
    const auto text = node_.scrape();
    const double first_now = NodeFixture::sum(text, kCpuSeconds, {service("first")});
    const double second_now = NodeFixture::sum(text, kCpuSeconds, {service("second")});
    EXPECT_GE(first_now, first);
    EXPECT_GE(second_now, second);
    first = first_now;
    second = second_now;
  }
  worker.wait_until_done();
  EXPECT_NEAR(of("first", kCpuSeconds) + of("second", kCpuSeconds), 1.2, 0.05);
  EXPECT_GT(of("second", kCpuSeconds), 0.2);
}

INSTANTIATE_TEST_SUITE_P(Clocks,
                         RunQueue,
                         ::testing::Values("rq", "ktime", "wakeup", "storage"),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace sonde
