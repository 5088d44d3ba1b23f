// SPDX-License-Identifier: Apache-2.0
#include "agent/probes/tls_waits.hpp"

#include <sys/syscall.h>
#include <system_error>

#include <bpf/bpf.h>

#include "agent/base/clock.hpp"
#include "agent/base/file.hpp"
#include "agent/base/text.hpp"
#include "agent/elf/openssl.hpp"

namespace sonde::tls {

namespace {

constexpr auto kTick = std::chrono::seconds(1);
// Calls by other threads pay for the probes meanwhile.
constexpr std::uint64_t kLongestNs = 600'000'000'000;
constexpr std::size_t kMostThreads = SONDE_TLS_WAITING;
constexpr std::size_t kShortFile = 256;
constexpr std::string_view kNobody = "no thread waits in a read that began before its probes came";

std::filesystem::path tasks_of(const Host& host, std::uint32_t tgid)
{
  return std::filesystem::path(host.settings.text("path.procfs")) / std::to_string(tgid) / "task";
}

bool waits_for_socket(const std::filesystem::path& task)
{
  const auto call = read_file(task / "syscall", kShortFile);
  const auto fd = call ? descriptor_waited_for(*call) : std::nullopt;
  if (!fd)
    return false;
  std::error_code error;
  const auto link = std::filesystem::read_symlink(task / "fd" / std::to_string(*fd), error);
  return !error && link.native().starts_with("socket:");
}

}  // namespace

void KnownProcesses::add(std::uint32_t tgid)
{
  const std::uint32_t one = 1;
  if (++reasons_[tgid] == 1 &&
      bpf_map_update_elem(bpf_map__fd(object_.maps.tls_processes), &tgid, &one, BPF_NOEXIST) == 0)
    ++object_.bss->tls_process_count;
}

void KnownProcesses::remove(std::uint32_t tgid)
{
  const auto known = reasons_.find(tgid);
  if (known == reasons_.end() || --known->second != 0)
    return;
  reasons_.erase(known);
  if (bpf_map_delete_elem(bpf_map__fd(object_.maps.tls_processes), &tgid) == 0)
    --object_.bss->tls_process_count;
}

// "NUMBER ARGUMENT… SP PC", hexadecimal but for the number; "running" (fs/proc/base.c).
std::optional<std::uint64_t> descriptor_waited_for(std::string_view syscall)
{
  const auto number = parse_number<long>(take_word(syscall));
  auto argument = take_word(syscall);
  // What OpenSSL's sockets read with (crypto/bio/bss_sock.c).
  if (number != SYS_read || !argument.starts_with("0x"))
    return std::nullopt;
  argument.remove_prefix(2);
  return parse_hex(argument);
}

Waits::~Waits()
{
  if (added_)
    host_.executables->remove(*this);
}

Result<> Waits::start()
{
  tick_ = SONDE_TRY(host_.loop.timer([this] { settle(); }));
  host_.executables->add(*this);
  added_ = true;
  return {};
}

std::uint64_t Waits::lost() const
{
  const volatile auto& lost = object_.bss->tls_waits_lost;
  return lost + given_up_.load(std::memory_order_relaxed);
}

bool is_openssl(std::string_view library)
{
  return library.starts_with("libssl.so") || library.starts_with("libssl-");
}

// Linked into a program it is called among all else that the program copies.
bool Waits::wants_library(std::string_view library) const
{
  return is_openssl(library);
}

PlanResult Waits::plan(Subject& subject)
{
  const auto found = subject.library() ? elf::find_openssl_waits(subject.elf()) : std::nullopt;
  if (!found || !host_.executables->may_probe_returns())
    return std::unexpected(Refusal{});
  ProbePlan plan;
  plan.sites.push_back({object_.progs.tls_copies, found->copy, 0, false});
  for (const auto offset : found->returns)
    plan.sites.push_back({object_.progs.tls_read_returned, offset, 0, false});
  plan.note = "for reads that began before it was probed";
  return plan;
}

void Waits::attached(const ProbedFile& file, const ProbePlan&)
{
  files_[file.number].since_ns = monotonic_ns();
  tick_.arm_every(kTick);
}

void Waits::joined(const ProbedFile& file, const ProcessId& process)
{
  const auto known = files_.find(file.number);
  if (known == files_.end() || known->second.processes.contains(process.tgid))
    return;
  processes_.add(process.tgid);
  auto threads = waiting_threads(process.tgid);
  if (threads.empty())
    return processes_.remove(process.tgid);
  known->second.processes.emplace(process.tgid, std::move(threads));
}

void Waits::left(const ProbedFile& file, const ProcessId& process)
{
  const auto known = files_.find(file.number);
  if (known == files_.end())
    return;
  if (const auto waiting = known->second.processes.extract(process.tgid))
    forget(process.tgid, waiting.mapped());
}

void Waits::detached(const ProbedFile& file)
{
  const auto known = files_.extract(file.number);
  if (!known)
    return;
  for (const auto& [tgid, threads] : known.mapped().processes) {
    given_up_.fetch_add(threads.size(), std::memory_order_relaxed);
    forget(tgid, threads);
  }
  if (files_.empty())
    tick_.disarm();
}

void Waits::forget(std::uint32_t tgid, const Threads& threads)
{
  for (const auto tid : threads)
    bpf_map_delete_elem(bpf_map__fd(object_.maps.tls_waiting), &tid);
  processes_.remove(tgid);
}

// A thread that comes back while it is entered here is asked once more.
Waits::Threads Waits::waiting_threads(std::uint32_t tgid)
{
  Threads threads;
  const int map = bpf_map__fd(object_.maps.tls_waiting);
  std::error_code error;
  for (std::filesystem::directory_iterator entry(tasks_of(host_, tgid), error), end;
       !error && entry != end && threads.size() < kMostThreads;
       entry.increment(error)) {
    const auto tid = parse_number<std::uint32_t>(entry->path().filename().native());
    const std::uint32_t one = 1;
    if (!tid || !waits_for_socket(entry->path()) ||
        bpf_map_update_elem(map, &*tid, &one, BPF_ANY) != 0)
      continue;
    if (waits_for_socket(entry->path()))
      threads.insert(*tid);
    else
      bpf_map_delete_elem(map, &*tid);
  }
  return threads;
}

// Those of them that still wait.
Waits::Threads Waits::still_waiting(std::uint32_t tgid, const Threads& threads) const
{
  Threads left;
  const int map = bpf_map__fd(object_.maps.tls_waiting);
  for (const auto tid : threads) {
    std::uint32_t value = 0;
    std::error_code error;
    if (bpf_map_lookup_elem(map, &tid, &value) != 0)
      continue;
    if (std::filesystem::exists(tasks_of(host_, tgid) / std::to_string(tid), error))
      left.insert(tid);
    else
      bpf_map_delete_elem(map, &tid);
  }
  return left;
}

void Waits::settle()
{
  std::vector<std::uint32_t> done;
  for (auto& [number, file] : files_) {
    for (auto process = file.processes.begin(); process != file.processes.end();) {
      auto& [tgid, threads] = *process;
      threads = still_waiting(tgid, threads);
      if (threads.empty()) {
        processes_.remove(tgid);
        process = file.processes.erase(process);
      } else {
        ++process;
      }
    }
    if (file.processes.empty() || monotonic_ns() - file.since_ns > kLongestNs)
      done.push_back(number);
  }
  for (const auto number : done)
    host_.executables->pause(*this, number, true, kNobody);
}

}  // namespace sonde::tls
