// SPDX-License-Identifier: Apache-2.0
// The metrics of Go's runtime, of every Go process of the node: no program in the kernel, nothing
// attached; read from the processes' memory when somebody scrapes.
#include <algorithm>
#include <array>
#include <atomic>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/base/file.hpp"
#include "agent/elf/elf_file.hpp"
#include "agent/elf/go_binary.hpp"
#include "agent/metrics/labels.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/go_metric_table.hpp"
#include "agent/probes/go_metrics.hpp"
#include "agent/probes/probe.hpp"
#include "agent/runtime/go_memory.hpp"
#include "agent/runtime/process_memory.hpp"
#include "agent/runtime/timed_work.hpp"

namespace sonde::go_runtime {

namespace {

using runtime::GoAbsence;
using runtime::GoSample;

constexpr std::string_view kName = "go_runtime";
constexpr std::size_t kMostOfService = 32;

constexpr Setting kSettings[] = {
    {"go_runtime.processes",
     SettingKind::kInteger,
     "200",
     "Go processes of the node whose runtime is read at a scrape, at most 32 of a service; the "
     "oldest have precedence"},
    {"go_runtime.pauses",
     SettingKind::kBool,
     "false",
     "Also the four histograms of stopped worlds, go_sched_pauses_*_seconds: 68 lines a process"},
    {"go_runtime.deadline",
     SettingKind::kDuration,
     "250ms",
     "How long a scrape waits for the memory of processes, all together; those that are not read "
     "by then are absent from it"},
};

// What a program's file tells, of all its processes.
struct Program : Findings {
  runtime::GoProgram layout;
  std::string go_version;  // rendered labels
  std::string build;
};

struct Process {
  ProcessId id;
  std::shared_ptr<const Findings> findings;

  // The reading thread's own from here; one at a time has the process.
  std::optional<runtime::ProcessMemory> memory;
  std::uint64_t bias = 0;
  std::atomic<bool> busy = false;

  const Program& program() const { return static_cast<const Program&>(*findings); }
  std::expected<GoSample, GoAbsence> read(runtime::GoReader& reader);
};

// Shared with the reading thread, which may outlive the scrape, and the probe.
using ProcessPointer = std::shared_ptr<Process>;

std::expected<GoSample, GoAbsence> Process::read(runtime::GoReader& reader)
{
  if (!memory) {
    auto opened = runtime::ProcessMemory::open(id);
    if (!opened)
      return std::unexpected(GoAbsence::kGone);
    const auto entry = opened->entry();
    if (!entry)
      return std::unexpected(entry.error().code() == std::errc::no_such_process
                                 ? GoAbsence::kGone
                                 : GoAbsence::kDenied);
    memory = *std::move(opened);
    bias = *entry - program().layout.entry;
  }
  auto sample = reader.read(program().layout, bias, *memory);
  // Before this moment the number was its own; after an exec the address may be another.
  if (!memory->alive()) {
    memory.reset();
    return std::unexpected(GoAbsence::kGone);
  }
  if (!sample && sample.error() == GoAbsence::kGone)
    memory.reset();
  return sample;
}

// What one scrape has read; written by the reading thread, entry by entry.
struct Round {
  std::vector<ProcessPointer> processes;
  std::vector<std::expected<GoSample, GoAbsence>> samples;
  std::atomic<std::size_t> done = 0;
  std::atomic<bool> given_up = false;

  void read();
};

void Round::read()
{
  runtime::GoReader reader;
  for (std::size_t i = 0; i < processes.size() && !given_up; ++i) {
    // Another thread is still at it.
    if (!processes[i]->busy.exchange(true)) {
      samples[i] = processes[i]->read(reader);
      processes[i]->busy = false;
    }
    done.store(i + 1, std::memory_order_release);
  }
}

class GoRuntime : public Probe, private UprobeUser {
public:
  explicit GoRuntime(Host& host)
      : services_(host.services), executables_(*host.executables),
        most_(static_cast<std::size_t>(
            std::max<std::int64_t>(host.settings.integer("go_runtime.processes"), 0))),
        pauses_(host.settings.flag("go_runtime.pauses")),
        deadline_(host.settings.duration("go_runtime.deadline"))
  {
    executables_.add(*this);
  }
  ~GoRuntime() override { executables_.remove(*this); }

  void collect(Scrape& scrape) override;
  std::uint64_t events() const override { return events_.load(std::memory_order_relaxed); }

private:
  struct Chosen {
    ProcessPointer process;
    std::string_view service;
  };

  std::string_view name() const override { return kName; }
  PlanResult plan(Subject& subject) override;
  void attached(const ProbedFile& file, const ProbePlan& plan) override;
  void joined(const ProbedFile& file, const ProcessId& id) override;
  void left(const ProbedFile& file, const ProcessId& id) override;
  void detached(const ProbedFile& file) override;

  std::vector<Chosen> choose(const ServiceTable& services);

  Services& services_;
  Executables& executables_;
  std::size_t most_;
  bool pauses_;
  std::chrono::nanoseconds deadline_;
  runtime::TimedWork reading_;

  std::unordered_map<std::uint32_t, std::shared_ptr<const Findings>>
      files_;  // by number; the loop's

  std::mutex mutex_;
  std::unordered_map<std::uint32_t, ProcessPointer> processes_;  // by tgid
  std::map<std::string_view, std::uint64_t> results_;            // of a scrape
  std::atomic<std::uint64_t> events_ = 0;
};

PlanResult GoRuntime::plan(Subject& subject)
{
  if (subject.library())
    return std::unexpected(Refusal{});
  const auto go = subject.go();
  if (!go)
    return std::unexpected(Refusal{});
  auto program = std::make_shared<Program>();
  auto layout = runtime::GoProgram::read(**go);
  if (!layout)
    return std::unexpected(Refusal{"go_runtime_layout", layout.error().message()});
  program->layout = *layout;
  const auto& build = (*go)->build();
  program->go_version = metrics::label_block({{"version", build.version_text}});
  program->build =
      metrics::label_block({{"path", build.main.path.empty() ? build.command : build.main.path},
                            {"version", build.main.version},
                            {"go_version", build.version_text}});
  return ProbePlan{.sites = {}, .findings = std::move(program)};
}

void GoRuntime::attached(const ProbedFile& file, const ProbePlan& plan)
{
  files_[file.number] = plan.findings;
}

void GoRuntime::joined(const ProbedFile& file, const ProcessId& id)
{
  const auto found = files_.find(file.number);
  if (found == files_.end())
    return;
  auto process = std::make_shared<Process>();
  process->id = id;
  process->findings = found->second;
  const std::scoped_lock lock(mutex_);
  processes_[id.tgid] = std::move(process);
}

void GoRuntime::left(const ProbedFile&, const ProcessId& id)
{
  const std::scoped_lock lock(mutex_);
  if (const auto found = processes_.find(id.tgid);
      found != processes_.end() && found->second->id == id)
    processes_.erase(found);
}

void GoRuntime::detached(const ProbedFile& file)
{
  files_.erase(file.number);
}

// The oldest first, so that the choice stays from scrape to scrape.
std::vector<GoRuntime::Chosen> GoRuntime::choose(const ServiceTable& services)
{
  std::vector<ProcessPointer> all;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [tgid, process] : processes_)
      all.push_back(process);
  }
  std::ranges::sort(all, {}, [](const ProcessPointer& process) {
    return std::pair(process->id.start_ticks, process->id.tgid);
  });
  std::array<std::string_view, SONDE_SLOTS> labels{};
  std::array<std::size_t, SONDE_SLOTS> taken{};
  for (const auto& service : services)
    labels[service.slot] = service.labels;
  std::vector<Chosen> chosen;
  for (auto& process : all) {
    auto slot = services_.slot_of(process->id.tgid);
    if (slot >= SONDE_SLOTS || labels[slot].empty())
      slot = SONDE_SLOT_OTHER;
    if (chosen.size() < most_ && taken[slot]++ < kMostOfService)
      chosen.push_back({std::move(process), labels[slot]});
    else
      ++results_["over_limit"];
  }
  return chosen;
}

void GoRuntime::collect(Scrape& scrape)
{
  results_.clear();
  results_["read"] = 0;
  results_["over_limit"] = 0;
  const auto chosen = choose(scrape.services);
  auto round = std::make_shared<Round>();
  for (const auto& entry : chosen)
    round->processes.push_back(entry.process);
  round->samples.resize(chosen.size(), std::unexpected(GoAbsence::kStalled));
  if (!chosen.empty() && !reading_.run([round] { round->read(); }, deadline_))
    round->given_up = true;
  const auto done = round->done.load(std::memory_order_acquire);
  std::vector<Reading> readings;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (i >= done || !round->samples[i]) {
      ++results_[name_of(i < done ? round->samples[i].error() : GoAbsence::kStalled)];
      continue;
    }
    ++results_["read"];
    const auto& process = *chosen[i].process;
    readings.push_back({.labels = fmt::format("{},pid=\"{}\"", chosen[i].service, process.id.tgid),
                        .build = process.program().build,
                        .go_version = process.program().go_version,
                        .sample = *std::move(round->samples[i])});
  }
  events_.fetch_add(readings.size(), std::memory_order_relaxed);
  expose(scrape.out, readings, pauses_);
  scrape.out.begin(*std::rbegin(kMetrics));
  for (const auto& [result, count] : results_)
    scrape.out.sample({metrics::label_block({{"result", result}})}, count);
}

Result<std::unique_ptr<Probe>> start(Host& host)
{
  if (host.executables == nullptr)
    return fail("executables are not known");
  auto probe = std::make_unique<GoRuntime>(host);
  // That of root, in most cases.
  const bool others = read_file("/proc/1/auxv", 4096).has_value();
  host.hooks.report(kName,
                    "memory",
                    true,
                    others ? "" : "only of processes of the same user: CAP_SYS_PTRACE is missing");
  return probe;
}

}  // namespace

extern const Family family{
    .name = kName, .start = &start, .metrics = kMetrics, .settings = kSettings};

}  // namespace sonde::go_runtime
