// SPDX-License-Identifier: Apache-2.0
#include "tests/support/go_target.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/text.hpp"
#include "agent/elf/elf_file.hpp"
#include "agent/elf/go_binary.hpp"
#include "agent/metrics/exposition.hpp"
#include "agent/probes/go_metrics.hpp"
#include "agent/proc/procfs.hpp"

namespace sonde::testing {

namespace {

// Lines `series value`; what goes before the first label that is left is dropped.
GoValues parse(std::string_view text)
{
  GoValues values;
  while (!text.empty()) {
    const auto line = take_line(text);
    const auto blank = line.rfind(' ');
    if (line.starts_with('#') || blank == std::string_view::npos)
      continue;
    std::string series(line.substr(0, blank));
    constexpr std::string_view kLabels = R"({service="s",pid="1")";
    if (const auto at = series.find(kLabels); at != std::string::npos) {
      const auto rest = series.substr(at + kLabels.size());
      series = series.substr(0, at) + (rest == "}" ? "" : "{" + rest.substr(1));
    }
    values[series] = std::strtod(std::string(line.substr(blank + 1)).c_str(), nullptr);
  }
  return values;
}

}  // namespace

GoTarget::GoTarget(const std::string& program, const std::vector<std::string>& environment)
{
  int in[2];
  int out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0)
    std::abort();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(in[0], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    for (const auto& variable : environment)
      ::putenv(const_cast<char*>(variable.c_str()));
    ::execl(program.c_str(), program.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  in_ = UniqueFd(in[1]);
  out_ = UniqueFd(out[0]);
}

GoTarget::~GoTarget()
{
  kill();
}

void GoTarget::kill()
{
  if (pid_ <= 0)
    return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

GoValues GoTarget::ask(std::string_view command) const
{
  const auto line = fmt::format("{}\n", command);
  if (::write(in_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    return {};
  std::string answer;
  while (answer != "end\n" && !answer.ends_with("\nend\n")) {
    char buffer[65536];
    const auto got = ::read(out_.get(), buffer, sizeof buffer);
    if (got <= 0)
      return {};
    answer.append(buffer, static_cast<std::size_t>(got));
  }
  return parse(answer);
}

Result<GoWatch> GoWatch::open(pid_t pid)
{
  const auto tgid = static_cast<std::uint32_t>(pid);
  const auto file =
      SONDE_TRY(elf::ElfFile::open(std::filesystem::path(fmt::format("/proc/{}/exe", tgid))));
  const auto binary = SONDE_TRY(elf::GoBinary::read(file));
  const auto program = SONDE_TRY(runtime::GoProgram::read(binary));
  const auto stat = proc::ProcFs().stat(tgid);
  if (!stat)
    return fail("the process has gone");
  auto memory = SONDE_TRY(runtime::ProcessMemory::open({tgid, stat->start_ticks}));
  const auto entry = SONDE_TRY(memory.entry());
  return GoWatch(program, std::move(memory), entry - program.entry);
}

std::expected<runtime::GoSample, runtime::GoAbsence> GoWatch::sample()
{
  return reader_.read(program_, bias_, memory_);
}

Result<GoValues> GoWatch::values()
{
  auto read = sample();
  if (!read)
    return fail(std::string(name_of(read.error())));
  const go_runtime::Reading reading{R"(service="s",pid="1")", "", "", *std::move(read)};
  metrics::Exposition out;
  go_runtime::expose(out, {&reading, 1}, /*pauses=*/true);
  return parse(out.body());
}

Result<GoComparison> compare(const GoTarget& target, GoWatch& watch)
{
  const auto before = SONDE_TRY(watch.values());
  const auto told = target.ask("dump");
  const auto after = SONDE_TRY(watch.values());
  GoComparison comparison;
  constexpr std::string_view kCollections = "go_gc_duration_seconds_count";
  comparison.collected = before.find(kCollections)->second != after.find(kCollections)->second;
  for (const auto& [series, value] : told) {
    const auto first = before.find(series);
    const auto second = after.find(series);
    if (first == before.end() || second == after.end())
      continue;
    ++comparison.compared;
    const auto [low, high] = std::minmax(first->second, second->second);
    // Go adds seconds and nanoseconds up, which rounds twice.
    const auto rounding = std::abs(value) * 1e-12;
    if (value < low - rounding || value > high + rounding)
      comparison.differences.push_back(
          fmt::format("{} {} is not in [{}, {}]", series, value, low, high));
  }
  return comparison;
}

}  // namespace sonde::testing
