// SPDX-License-Identifier: Apache-2.0
// The process family with the agent's own services, on the running kernel.
#include <csignal>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/node_fixture.hpp"

#include "agent/base/clock.hpp"
#include "agent/proc/service_table.hpp"

namespace sonde::testing {
namespace {

using std::chrono::milliseconds;

// Starts a program with just these variables in its environment.
pid_t spawn(std::vector<std::string> arguments, std::vector<std::string> environment = {})
{
  std::vector<char*> argv;
  std::vector<char*> envp;
  for (auto& argument : arguments)
    argv.push_back(argument.data());
  for (auto& variable : environment)
    envp.push_back(variable.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  return child;
}

void reap(pid_t child)
{
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::string exits_of(std::string_view service, std::string_view code, std::string_view signal = "")
{
  std::string series = R"(service_process_exits_total{service=")";
  series.append(service).append(R"(",code=")").append(code);
  series.append(R"(",signal=")").append(signal).append("\"}");
  return series;
}

class ProcessTest : public ::testing::Test {
protected:
  void start(std::map<std::string, std::string> settings = {})
  {
    node_ = std::make_unique<NodeFixture>(NodeFixture::discovered(std::move(settings)));
    const auto probe = node_->start("process");
    ASSERT_TRUE(probe) << probe.error().message();
    probe_ = *probe;
  }

  double value(const std::string& series) const
  {
    return NodeFixture::value(node_->scrape(), series).value_or(-1);
  }
  bool reaches(const std::string& series, double wanted, milliseconds limit = milliseconds(5000))
  {
    return NodeFixture::eventually([&] { return value(series) == wanted; }, limit);
  }

  std::unique_ptr<NodeFixture> node_;
  Probe* probe_ = nullptr;
};

TEST_F(ProcessTest, AShortLivedProcessGetsTheServiceItsEnvironmentNames)
{
  start();
  reap(spawn({"/bin/true"}, {"A=b", "OTEL_SERVICE_NAME=brief", "C=d"}));
  EXPECT_TRUE(reaches(exits_of("brief", "0"), 1)) << node_->scrape();
  EXPECT_EQ(value(R"(sonde_service_instances{service="brief"})"), 0);
  EXPECT_EQ(value(R"(service_oom_kills_total{service="brief"})"), 0);
}

TEST_F(ProcessTest, ANameBehindALargeEnvironmentIsFound)
{
  start();
  std::vector<std::string> environment;
  for (int i = 0; i < 10; ++i)
    environment.push_back("V" + std::to_string(i) + "=" + std::string(900, 'x'));
  environment.emplace_back("OTEL_SERVICE_NAME=behind");
  reap(spawn({"/bin/true"}, environment));
  EXPECT_TRUE(reaches(exits_of("behind", "0"), 1));
}

TEST_F(ProcessTest, CodesAndSignalsAreTheOnesThatWaitReports)
{
  start();
  reap(spawn({"/bin/sh", "-c", "exit 3"}, {"OTEL_SERVICE_NAME=codes"}));
  reap(spawn({"/bin/sh", "-c", "kill -9 $$"}, {"OTEL_SERVICE_NAME=codes"}));
  reap(spawn({"/bin/sh", "-c", "kill -TERM $$"}, {"OTEL_SERVICE_NAME=codes"}));
  EXPECT_TRUE(reaches(exits_of("codes", "", "SIGTERM"), 1)) << node_->scrape();
  EXPECT_EQ(value(exits_of("codes", "3")), 1);
  EXPECT_EQ(value(exits_of("codes", "", "SIGKILL")), 1);
  EXPECT_EQ(value(exits_of("codes", "0")), 0);
}

// The processor time of the loop's thread, all of it spent on facts here.
std::chrono::nanoseconds loop_time(NodeFixture& node)
{
  std::uint64_t now = 0;
  node.on_loop([&] { now = read_clock_ns(CLOCK_THREAD_CPUTIME_ID); });
  return std::chrono::nanoseconds(now);
}

TEST_F(ProcessTest, TwoThousandProcessesAtAThousandASecondAreTwoThousandExits)
{
  start();
  constexpr int kBatches = 20;
  constexpr int kBatch = 99;  // and the shell itself
  const auto cpu = loop_time(*node_);
  const auto before = std::chrono::steady_clock::now();
  // By shells, since each fork of this process would have the agent copy its own pages. An emulated
  // processor executes ten a second: there a part must do.
  const auto deadline = before + std::chrono::seconds(20);
  int started = 0;
  for (int i = 0; i < kBatches && std::chrono::steady_clock::now() < deadline; ++i) {
    reap(spawn({"/bin/sh", "-c", "i=0; while [ $i -lt 99 ]; do /bin/true; i=$((i+1)); done"},
               {"OTEL_SERVICE_NAME=many"}));
    started += kBatch + 1;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - before;
  const std::chrono::duration<double, std::micro> spent = loop_time(*node_) - cpu;
  EXPECT_TRUE(reaches(exits_of("many", "0"), started)) << value(exits_of("many", "0"));
  EXPECT_EQ(node_->maps().facts_lost(0), 0U);
  fmt::print("{} processes, {:.0f}/s, {:.1f} us of the agent's CPU each (fork, exec and exit)\n",
             started,
             started / took.count(),
             spent.count() / started);
}

void* leave_last(void*)
{
  ::usleep(20'000);
  ::_exit(7);
}

TEST_F(ProcessTest, AProcessWithThreadsExitsOnceAndItsLeaderMayGoFirst)
{
  start();
  constexpr int kProcesses = 50;
  const auto before = std::max(value(exits_of("sonde", "7")), 0.0);
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      pthread_t thread{};
      for (int n = 0; n < 4; ++n)
        ::pthread_create(&thread, nullptr, &leave_last, nullptr);
      ::syscall(SYS_exit, 0);  // the leader alone
    }
    reap(child);
  }
  EXPECT_TRUE(reaches(exits_of("sonde", "7"), before + kProcesses));
  ::usleep(50'000);
  EXPECT_EQ(value(exits_of("sonde", "7")), before + kProcesses);
}

TEST_F(ProcessTest, ForkCopiesTheSlotAndExecRenames)
{
  start();
  const pid_t child = ::fork();
  if (child == 0) {
    ::usleep(200'000);
    char* const argv[] = {const_cast<char*>("/bin/sleep"), const_cast<char*>("30"), nullptr};
    char* const envp[] = {const_cast<char*>("OTEL_SERVICE_NAME=renamed"), nullptr};
    ::execve(argv[0], argv, envp);
    ::_exit(127);
  }
  const auto tgid = static_cast<std::uint32_t>(child);
  EXPECT_EQ(node_->service_of(tgid), "sonde");
  EXPECT_TRUE(NodeFixture::eventually([&] { return node_->service_of(tgid) == "renamed"; }));
  EXPECT_EQ(value(R"(sonde_service_instances{service="renamed"})"), 1);
  ::kill(child, SIGKILL);
  reap(child);
  EXPECT_TRUE(reaches(exits_of("renamed", "", "SIGKILL"), 1));
  EXPECT_TRUE(reaches(R"(sonde_service_instances{service="renamed"})", 0));
}

TEST_F(ProcessTest, ChildrenOfAServiceAreInItUntilTheyExecuteSomethingElse)
{
  start();
  // The shell forks two that never execute anything.
  const pid_t shell =
      spawn({"/bin/sh", "-c", "(exit 4) & (exit 4) & wait"}, {"OTEL_SERVICE_NAME=tree"});
  EXPECT_TRUE(reaches(exits_of("tree", "4"), 2)) << node_->scrape();
  reap(shell);
  EXPECT_TRUE(reaches(exits_of("tree", "0"), 1));
}

TEST_F(ProcessTest, AListeningProcessIsKnownByItsExecutable)
{
  start();
  // A copy of the test's child would be the agent: it has to execute something. perl is everywhere.
  const pid_t child = spawn({"/usr/bin/perl",
                             "-e",
                             "use Socket; socket(S,PF_INET,SOCK_STREAM,0); listen(S,1); sleep 30"});
  const auto tgid = static_cast<std::uint32_t>(child);
  ASSERT_TRUE(NodeFixture::eventually([&] { return node_->service_of(tgid) == "other"; }));
  ::usleep(100'000);
  node_->on_loop([&] { node_->services().now_listening(tgid); });
  EXPECT_EQ(node_->service_of(tgid), "perl");
  // One that starts afterwards finds it by its socket.
  EXPECT_TRUE(NodeFixture::eventually([&] {
    NodeFixture later(NodeFixture::discovered());
    return later.service_of(tgid) == "perl";
  }));
  ::kill(child, SIGKILL);
  reap(child);
}

TEST_F(ProcessTest, KernelThreadsAndTheAgentHaveServicesOfTheirOwn)
{
  start();
  EXPECT_EQ(node_->service_of(2), "kernel");
  EXPECT_EQ(node_->service_of(static_cast<std::uint32_t>(::getpid())), "sonde");
  EXPECT_EQ(value(R"(sonde_service_instances{service="kernel"})"), 1);
}

TEST_F(ProcessTest, AnExpiredServiceLeavesAndItsSlotStartsAnewAtZero)
{
  start({{"services.expiry", "1s"}});
  const auto running = NodeFixture::value(node_->scrape(), exits_of("one", "0"));
  EXPECT_FALSE(running);
  reap(spawn({"/bin/true"}, {"OTEL_SERVICE_NAME=one"}));
  ASSERT_TRUE(reaches(exits_of("one", "0"), 1));
  EXPECT_TRUE(reaches(exits_of("one", "0"), -1)) << "still listed";
  reap(spawn({"/bin/true"}, {"OTEL_SERVICE_NAME=two"}));
  EXPECT_TRUE(reaches(exits_of("two", "0"), 1));
}

TEST_F(ProcessTest, TheSelfCheckSeesItsOwnChildAndDoesNotCountIt)
{
  start();
  const auto before = value(exits_of("sonde", "0"));
  EXPECT_TRUE(NodeFixture::eventually([&] {
    bool passed = false;
    node_->on_loop([&] { passed = probe_->self_check().has_value(); });
    return passed;
  }));
  EXPECT_EQ(value(exits_of("sonde", "0")), before);
}

}  // namespace
}  // namespace sonde::testing
