// SPDX-License-Identifier: Apache-2.0
// Hundreds of services that come, are renamed by exec, expire and leave their slots to others,
// while the node is scraped all the time: no value falls, and the services add up to the node.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <fmt/format.h>
#include <map>
#include <set>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/node_fixture.hpp"

#include "agent/base/clock.hpp"
#include "agent/base/text.hpp"

namespace sonde::testing {
namespace {

constexpr int kServices = 300;
constexpr std::size_t kAtOnce = 24;

// Becomes one service by its first exec and another by its second.
pid_t spawn_renamed(int number)
{
  const pid_t child = ::fork();
  if (child != 0)
    return child;
  const auto first = fmt::format("OTEL_SERVICE_NAME=early{}", number);
  const auto script = fmt::format(
      "for i in 1 2 3; do /bin/true; done; OTEL_SERVICE_NAME=late{} exec /bin/sleep 0.05", number);
  char* const environment[] = {const_cast<char*>(first.c_str()), nullptr};
  ::execle("/bin/sh", "sh", "-c", script.c_str(), nullptr, environment);
  ::_exit(127);
}

// The lines that tell how many processes each of the test's services still has.
std::string instances_left(std::string_view text)
{
  std::string left;
  while (!text.empty()) {
    const auto line = take_line(text);
    if (line.starts_with("sonde_service_instances{service=\"late") ||
        line.starts_with("sonde_service_instances{service=\"early"))
      left.append(line).append("\n");
  }
  return left;
}

// Every sample of the families that must not fall, and the sums of one of them.
class Watcher {
public:
  void look(const std::string& text)
  {
    const auto at = monotonic_ns();
    if (looked_ns_ != 0)
      longest_gap_ns_ = std::max(longest_gap_ns_, at - looked_ns_);
    looked_ns_ = at;
    std::map<std::string, double, std::less<>> now;
    std::string_view rest = text;
    while (!rest.empty()) {
      const auto line = take_line(rest);
      if (!line.starts_with("service_run_queue_latency_seconds_count") &&
          !line.starts_with("service_context_switches_total") &&
          !line.starts_with("service_cpu_seconds_total") &&
          !line.starts_with("service_process_exits_total"))
        continue;
      const auto space = line.rfind(' ');
      now.emplace(line.substr(0, space), parse_number<double>(line.substr(space + 1)).value_or(-1));
    }
    for (const auto& [series, value] : now)
      if (const auto before = last_.find(series); before != last_.end() && value < before->second)
        fallen_.push_back(fmt::format("{}: {} after {}", series, value, before->second));
    for (const auto& [series, value] : last_)
      if (!now.contains(series) && series.starts_with("service_run_queue_latency_seconds_count"))
        expired_ += value;
    for (const auto& [series, value] : now)
      if (series.starts_with("service_run_queue_latency_seconds_count"))
        services_.insert(series);
    last_ = std::move(now);
  }

  const std::vector<std::string>& fallen() const { return fallen_; }
  double expired() const { return expired_; }
  double longest_gap() const { return seconds(longest_gap_ns_); }
  std::size_t services() const { return services_.size(); }

private:
  std::map<std::string, double, std::less<>> last_;
  std::vector<std::string> fallen_;
  double expired_ = 0;
  std::uint64_t looked_ns_ = 0;
  std::uint64_t longest_gap_ns_ = 0;
  std::set<std::string, std::less<>> services_;
};

TEST(Turnover, ServicesAddUpToTheNodeAndNoValueFallsWhileSlotsChangeHands)
{
  NodeFixture node(
      NodeFixture::discovered({{"services.max", "60"}, {"services.expiry", "2500ms"}}));
  ASSERT_TRUE(node.start("process"));
  ASSERT_TRUE(node.start("run_queue"));
  Watcher watcher;
  watcher.look(node.scrape());
  // Scrapes must be closer together than services expire: what a service counts after its last
  // one is the node's alone.
  std::atomic<bool> turning = true;
  std::thread scraper([&] {
    while (turning) {
      watcher.look(node.scrape());
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  std::deque<pid_t> children;
  const auto reap_first = [&] {
    ::waitpid(children.front(), nullptr, 0);
    children.pop_front();
  };
  for (int i = 0; i < kServices; ++i) {
    children.push_back(spawn_renamed(i));
    if (children.size() >= kAtOnce)
      reap_first();
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  }
  while (!children.empty())
    reap_first();
  turning = false;
  scraper.join();
  // Until all of them have expired.
  std::string text;
  EXPECT_TRUE(NodeFixture::eventually(
      [&] {
        text = node.scrape();
        watcher.look(text);
        return !text.contains("service=\"late") && !text.contains("service=\"early");
      },
      std::chrono::seconds(30)))
      << instances_left(text);
  text = node.scrape();
  watcher.look(text);
  EXPECT_TRUE(watcher.fallen().empty())
      << watcher.fallen().size() << " fell, the first: " << watcher.fallen().front();
  EXPECT_EQ(NodeFixture::sum(text, "node_run_queue_latency_seconds_count"),
            NodeFixture::sum(text, "service_run_queue_latency_seconds_count") + watcher.expired())
      << "the longest time between two scrapes was " << watcher.longest_gap() << " s";
  // Many more than there are slots: they did change hands.
  EXPECT_GT(watcher.services(), 90U);
}

}  // namespace
}  // namespace sonde::testing
