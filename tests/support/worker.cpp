// SPDX-License-Identifier: Apache-2.0
#include "tests/support/worker.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.hpp"
#include "agent/base/file.hpp"
#include "agent/base/text.hpp"

namespace sonde::testing {

namespace {

void expect(bool holds, const char* what)
{
  if (!holds) {
    std::perror(what);
    std::abort();
  }
}

void pin(int cpu)
{
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  expect(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

std::uint64_t status_field(std::string_view text, std::string_view name)
{
  const auto at = text.find(name);
  if (at == std::string_view::npos)
    return 0;
  auto rest = text.substr(at + name.size());
  return parse_number<std::uint64_t>(take_word(rest)).value_or(0);
}

}  // namespace

Worker::Worker(const std::function<void()>& work, int cpu)
{
  int go[2];
  int done[2];
  expect(::pipe(go) == 0 && ::pipe(done) == 0, "pipe");
  pid_ = ::fork();
  expect(pid_ >= 0, "fork");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(go[1]);
    ::close(done[0]);
    if (cpu >= 0)
      pin(cpu);
    char byte = 0;
    if (::read(go[0], &byte, 1) == 1) {
      work();
      if (::write(done[1], "d", 1) == 1)
        (void)!::read(go[0], &byte, 1);
    }
    ::_exit(0);
  }
  ::close(go[0]);
  ::close(done[1]);
  go_ = UniqueFd(go[1]);
  done_ = UniqueFd(done[0]);
  // It still has to block in its read.
  sleep_ns(20'000'000);
}

Worker::~Worker()
{
  finish();
}

void Worker::go()
{
  went_ = true;
  expect(::write(go_.get(), "g", 1) == 1, "let the worker go");
}

void Worker::wait_until_done() const
{
  char byte = 0;
  expect(::read(done_.get(), &byte, 1) == 1, "wait for the worker");
  sleep_ns(20'000'000);
}

void Worker::finish()
{
  if (pid_ < 0)
    return;
  // A byte, not the end of the pipe: workers forked later hold its other end open too.
  if (!went_ || ::write(go_.get(), "e", 1) != 1)
    ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

Worker::Kernel Worker::kernel() const
{
  const auto base = "/proc/" + std::to_string(pid_);
  const auto schedstat = read_file(base + "/schedstat");
  const auto status = read_file(base + "/status");
  expect(schedstat && status, "read the worker's procfs");
  std::string_view rest = *schedstat;
  Kernel kernel{};
  kernel.cpu_ns = parse_number<std::uint64_t>(take_word(rest)).value_or(0);
  kernel.run_delay_ns = parse_number<std::uint64_t>(take_word(rest)).value_or(0);
  kernel.voluntary = status_field(*status, "\nvoluntary_ctxt_switches:");
  kernel.involuntary = status_field(*status, "nonvoluntary_ctxt_switches:");
  return kernel;
}

void spin(std::uint64_t ns)
{
  const auto end = read_clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;
  while (read_clock_ns(CLOCK_THREAD_CPUTIME_ID) < end) {
  }
}

void sleep_ns(std::uint64_t ns)
{
  const timespec time{.tv_sec = static_cast<time_t>(ns / 1'000'000'000U),
                      .tv_nsec = static_cast<long>(ns % 1'000'000'000U)};
  ::nanosleep(&time, nullptr);
}

int cpu_count()
{
  cpu_set_t set;
  expect(sched_getaffinity(0, sizeof set, &set) == 0, "sched_getaffinity");
  return CPU_COUNT(&set);
}

}  // namespace sonde::testing
