// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/tokio_workers.hpp"

#include <algorithm>
#include <sys/syscall.h>

#include "agent/base/file.hpp"
#include "agent/base/text.hpp"
#include "agent/proc/procfs.hpp"

namespace sonde {

namespace {

// A runtime starts its workers together.
constexpr std::uint64_t kTogetherTicks = 2;
constexpr std::size_t kSmallFile = 4096;
// A thread gets its name when it runs for the first time.
constexpr std::uint64_t kNamedTicks = 100;

bool is_tokio_thread(std::string_view name)
{
  return name == "tokio-rt-worker" || name == "tokio-runtime-w";
}

bool waits_for_events(std::uint64_t number)
{
#ifdef SYS_epoll_wait
  if (number == SYS_epoll_wait)
    return true;
#endif
  return number == SYS_epoll_pwait || number == 441 /* epoll_pwait2 */;
}

}  // namespace

TokioEvidence read_tokio_evidence(std::string_view syscall)
{
  const auto number = parse_number<std::uint64_t>(take_word(syscall));
  if (!number)
    return TokioEvidence::kNone;
  if (waits_for_events(*number))
    return TokioEvidence::kDriver;
  if (*number != SYS_futex)
    return TokioEvidence::kNone;
  std::string_view timeout;
  for (int argument = 0; argument <= 3; ++argument)
    timeout = take_word(syscall);
  return timeout == "0x0" ? TokioEvidence::kParked : TokioEvidence::kIdle;
}

void TokioWorkers::classify(const std::filesystem::path& folder, Thread& thread) const
{
  const auto text = read_file(folder / "syscall", kSmallFile).value_or(std::string());
  switch (read_tokio_evidence(trim(text))) {
  case TokioEvidence::kDriver:
    thread.kind = Kind::kWorker;
    thread.certain = true;
    return;
  case TokioEvidence::kIdle:
    thread.kind = Kind::kBlocking;
    thread.certain = true;
    return;
  case TokioEvidence::kParked:
    thread.kind = Kind::kWorker;
    return;
  case TokioEvidence::kNone:
    if (thread.kind == Kind::kUnknown && thread.start_ticks <= first_ticks_ + kTogetherTicks)
      thread.kind = Kind::kWorker;
    return;
  }
}

void TokioWorkers::meet(const std::filesystem::path& folder,
                        Thread& thread,
                        std::uint64_t boottime_ns)
{
  const auto text = read_file(folder / "stat", kSmallFile);
  const auto stat = text ? proc::parse_stat(*text) : std::nullopt;
  if (!stat)
    return;
  thread.start_ticks = stat->start_ticks;
  if (is_tokio_thread(stat->comm)) {
    if (first_ticks_ == 0 || stat->start_ticks < first_ticks_)
      first_ticks_ = stat->start_ticks;
    thread.kind = Kind::kUnknown;
  } else if (boottime_ns / proc::kTickNs > stat->start_ticks + kNamedTicks) {
    thread.kind = Kind::kOther;
  }
}

TokioWorkers::Time TokioWorkers::advance(std::uint64_t boottime_ns)
{
  Time time;
  for (auto& [tid, thread] : threads_)
    thread.seen = false;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(tasks_, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto tid = parse_number<std::uint32_t>(entry->path().filename().native());
    if (!tid)
      continue;
    auto [found, fresh] = threads_.try_emplace(*tid);
    auto& thread = found->second;
    thread.seen = true;
    if (thread.kind == Kind::kNew)
      meet(entry->path(), thread, boottime_ns);
    if (thread.kind == Kind::kNew || thread.kind == Kind::kOther)
      continue;
    if (!thread.certain)
      classify(entry->path(), thread);
    const auto text = read_file(entry->path() / "schedstat", kSmallFile);
    std::string_view rest = text ? *text : std::string_view();
    const auto ran = parse_number<std::uint64_t>(take_word(rest));
    const auto waited = parse_number<std::uint64_t>(take_word(rest));
    if (!ran || !waited)
      continue;
    const auto began = thread.start_ticks * proc::kTickNs;
    const auto lived = boottime_ns > began ? boottime_ns - began : 0;
    const auto blocked = lived - std::min(*ran + *waited, lived);
    if (fresh && thread.start_ticks < since_ticks_) {
      thread.busy_ns = *ran;
      thread.blocked_ns = blocked;
    }
    // What was blocked is what is left of its life: it may seem to shrink while the thread runs,
    // because the scheduler adds up later than the clock.
    const auto more_busy = *ran - std::min(std::exchange(thread.busy_ns, *ran), *ran);
    const auto more_blocked = blocked - std::min(thread.blocked_ns, blocked);
    thread.blocked_ns = std::max(thread.blocked_ns, blocked);
    if (thread.kind != Kind::kWorker)
      continue;
    ++time.workers;
    time.busy_ns += more_busy;
    time.park_ns += more_blocked;
  }
  std::erase_if(threads_, [](const auto& entry) { return !entry.second.seen; });
  return time;
}

}  // namespace sonde
