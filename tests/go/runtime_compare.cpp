// SPDX-License-Identifier: Apache-2.0
// Compares what the agent reads from the memory of tests/go/runtime, in several states, with what
// it says itself. For runtime_versions.sh.
//
// usage: go_runtime_compare PROGRAM...
#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <thread>

#include "tests/support/go_target.hpp"

#include "agent/base/clock.hpp"

using namespace sonde::testing;

namespace {

std::uint64_t thread_cpu_ns()
{
  return sonde::read_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

}  // namespace

int main(int count, char** arguments)
{
  bool failed = false;
  for (int i = 1; i < count; ++i) {
    const GoTarget target(arguments[i]);
    target.ask("work");
    auto watch = GoWatch::open(target.pid());
    if (!watch) {
      fmt::print("  {}: {}\n", arguments[i], watch.error().message());
      failed = true;
      continue;
    }
    std::size_t compared = 0;
    std::size_t wrong = 0;
    for (const auto* command : {"work",
                                "park 100",
                                "procs 1",
                                "work",
                                "park 1000",
                                "procs 3",
                                "limit 20000000",
                                "work",
                                "release",
                                "work"}) {
      target.ask(command);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      auto result = compare(target, *watch);
      for (int again = 0; result && result->collected && again < 20; ++again) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        result = compare(target, *watch);
      }
      if (!result) {
        fmt::print("  after {}: {}\n", command, result.error().message());
        failed = true;
        break;
      }
      compared += result->compared;
      wrong += result->differences.size();
      for (const auto& difference : result->differences)
        fmt::print("    after {}: {}\n", command, difference);
    }
    constexpr int kRounds = 1000;
    const auto begin = thread_cpu_ns();
    for (int round = 0; round < kRounds; ++round)
      (void)watch->sample();
    const auto took_us = static_cast<double>(thread_cpu_ns() - begin) / 1e3 / kRounds;
    fmt::print(
        "  {}: {} of {} values between a read before and one after, {:.0f} us of CPU a read\n",
        arguments[i],
        compared - wrong,
        compared,
        took_us);
  }
  return failed ? 1 : 0;
}
