// SPDX-License-Identifier: Apache-2.0
// Out-of-memory kills as the kernel makes them: processes that reach beyond the limit of their
// control group, counted by the process family and, for the node, by /proc/vmstat.
#include <csignal>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/collector_tree.hpp"
#include "tests/support/memory_cgroup.hpp"
#include "tests/support/node_fixture.hpp"

namespace sonde::testing {
namespace {

constexpr std::size_t kLimit = std::size_t{24} << 20;
// What a hungry process may take at most, should the kernel let it.
constexpr std::size_t kTooMuch = std::size_t{256} << 20;

int reap(pid_t child)
{
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// A program that keeps what it reads, without end.
[[noreturn]] void execute_hungry_program(std::string environment)
{
  const rlimit limit{.rlim_cur = kTooMuch, .rlim_max = kTooMuch};
  ::setrlimit(RLIMIT_AS, &limit);
  char* const argv[] = {const_cast<char*>("tail"), const_cast<char*>("/dev/zero"), nullptr};
  char* const envp[] = {environment.data(), nullptr};
  ::execve("/usr/bin/tail", argv, envp);
  ::_exit(127);
}

void take_memory()
{
  auto* memory = static_cast<volatile char*>(
      ::mmap(nullptr, kTooMuch, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (std::size_t i = 0; memory != MAP_FAILED && i < kTooMuch; i += 4096)
    memory[i] = 1;
}

class OomKill : public ::testing::Test {
protected:
  void SetUp() override
  {
    auto group = MemoryCgroup::create(kLimit);
    if (!group)
      GTEST_SKIP() << "no memory controller: " << group.error().message();
    group_ = *std::move(group);
    node_ = std::make_unique<NodeFixture>(NodeFixture::discovered());
    const auto probe = node_->start("process");
    ASSERT_TRUE(probe) << probe.error().message();
    vmstat_ = one_collector("vmstat", Paths{});
    node_before_ = node_kills();
  }

  // A process of the group; how it ended.
  template <typename Body>
  int run_in_group(Body body)
  {
    const pid_t child = ::fork();
    if (child == 0) {
      if (!group_->join())
        ::_exit(126);
      body();
      ::_exit(125);
    }
    return reap(child);
  }

  double node_kills() const
  {
    return NodeFixture::value(sonde::testing::scrape(*vmstat_), "node_vmstat_oom_kill").value_or(0);
  }
  double kills_of(std::string_view service) const
  {
    return NodeFixture::value(node_->scrape(),
                              fmt::format(R"(service_oom_kills_total{{service="{}"}})", service))
        .value_or(0);
  }
  double killed_exits_of(std::string_view service) const
  {
    return NodeFixture::value(
               node_->scrape(),
               fmt::format(
                   R"(service_process_exits_total{{service="{}",code="",signal="SIGKILL"}})",
                   service))
        .value_or(0);
  }

  // The services add up to what the kernel counts for the node.
  void expect_services_are_the_node()
  {
    double services = 0;
    double node = 0;
    EXPECT_TRUE(NodeFixture::eventually([&] {
      services = NodeFixture::sum(node_->scrape(), "service_oom_kills_total");
      node = node_kills() - node_before_;
      return services == node;
    })) << services
        << " of services, " << node << " of the node";
  }

  std::unique_ptr<MemoryCgroup> group_;
  std::unique_ptr<NodeFixture> node_;
  std::unique_ptr<NodeCollectors> vmstat_;
  double node_before_ = 0;
};

void expect_killed(int status)
{
  EXPECT_TRUE(WIFSIGNALED(status)) << status;
  EXPECT_EQ(WTERMSIG(status), SIGKILL) << status;
}

TEST_F(OomKill, CountsOnceForTheServiceOfTheKilledProcessAndForTheNode)
{
  expect_killed(run_in_group([] { execute_hungry_program("OTEL_SERVICE_NAME=hungry"); }));
  ASSERT_EQ(group_->kills(), 1U);
  EXPECT_TRUE(NodeFixture::eventually([&] { return kills_of("hungry") == 1; })) << node_->scrape();
  EXPECT_EQ(killed_exits_of("hungry"), 1);
  expect_services_are_the_node();
  EXPECT_EQ(kills_of("sonde"), 0) << "the parent's";
}

TEST_F(OomKill, EachKillOfAServiceCountsAndAKillByAnybodyElseDoesNot)
{
  constexpr int kKills = 3;
  const auto environment = std::string("OTEL_SERVICE_NAME=hungry");
  for (int i = 0; i < kKills; ++i)
    expect_killed(run_in_group([&] { execute_hungry_program(environment); }));
  const pid_t other = ::fork();
  if (other == 0) {
    char* const argv[] = {const_cast<char*>("sleep"), const_cast<char*>("60"), nullptr};
    char* const envp[] = {const_cast<char*>(environment.data()), nullptr};
    ::execve("/bin/sleep", argv, envp);
    ::_exit(127);
  }
  EXPECT_TRUE(NodeFixture::eventually(
      [&] { return node_->service_of(static_cast<std::uint32_t>(other)) == "hungry"; }));
  ::kill(other, SIGKILL);
  reap(other);
  ASSERT_EQ(group_->kills(), std::uint64_t{kKills});
  EXPECT_TRUE(NodeFixture::eventually([&] { return killed_exits_of("hungry") == kKills + 1; }))
      << node_->scrape();
  EXPECT_EQ(kills_of("hungry"), kKills);
  expect_services_are_the_node();
}

TEST_F(OomKill, CountsAProcessOnceHoweverManyThreadsItHas)
{
  // It executes nothing, so it is of the service that made it.
  expect_killed(run_in_group([] {
    for (int i = 0; i < 7; ++i)
      std::thread([] { ::pause(); }).detach();
    std::thread(take_memory).join();
  }));
  ASSERT_EQ(group_->kills(), 1U);
  EXPECT_TRUE(NodeFixture::eventually([&] { return kills_of("sonde") == 1; })) << node_->scrape();
  EXPECT_EQ(killed_exits_of("sonde"), 1);
  expect_services_are_the_node();
}

}  // namespace
}  // namespace sonde::testing
