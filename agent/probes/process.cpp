// SPDX-License-Identifier: Apache-2.0
// Loads bpf/process.bpf.c, tells the services of forks, execs and exits, and counts how processes
// ended.
#include "sonde/process.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "process.skel.h"

#include "agent/bpf/facts.hpp"
#include "agent/bpf/features.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/probes/executables.hpp"
#include "agent/probes/exit_counts.hpp"
#include "agent/probes/loading.hpp"
#include "agent/probes/probe.hpp"
#include "agent/proc/inspect.hpp"
#include "agent/proc/process_facts.hpp"
#include "agent/proc/procfs.hpp"

namespace sonde::process {

namespace {

using metrics::Type;

constexpr metrics::Desc kMetrics[] = {
    {"service_process_exits_total",
     Type::kCounter,
     "Processes of the service that ended, once per thread group, told by sched_process_exit; code "
     "is empty for one that a signal ended.",
     "service code signal"},
    {"service_oom_kills_total",
     Type::kCounter,
     "Processes of the service that the kernel ended for lack of memory, counted at their exit.",
     "service"},
    {"sonde_service_instances",
     Type::kGauge,
     "Process trees of the service: its processes whose parent is not of the same service.",
     "service"},
};

ProcessId identity(const sonde_process& process)
{
  return {process.tgid, process.start_ns / proc::kTickNs};
}

template <std::size_t N>
std::string_view text_of(const char (&field)[N])
{
  return {field, ::strnlen(field, N)};
}

// The cgroup's last parts as a path, from the names the kernel gave from the leaf up.
std::string path_of(const char (&names)[SONDE_CGROUP_LEVELS][SONDE_CGROUP_NAME])
{
  std::string path;
  for (const auto& name : names)
    if (const auto part = text_of(name); !part.empty())
      path.insert(0, part).insert(0, "/");
  return path;
}

ExecFact read_exec(const sonde_process_exec& exec, std::string_view environment)
{
  ExecFact fact;
  fact.process = identity(exec.process);
  fact.parent = identity(exec.parent);
  fact.script = (exec.flags & SONDE_PROCESS_SCRIPT) != 0;
  fact.environment_complete = exec.environ_left == 0;
  auto& traits = fact.traits;
  traits.comm = text_of(exec.comm);
  traits.executable = text_of(exec.filename);
  traits.exe_name = text_of(exec.exe_name);
  traits.arguments =
      proc::split_arguments({exec.args, std::min<std::size_t>(exec.args_size, sizeof exec.args)});
  traits.declared_name =
      proc::find_variable(environment, proc::kNameVariable).value_or(std::string_view());
  // What the kernel opened by another name than the file's own is a link, if argv[0] says so too.
  const auto given = proc::base_name(traits.executable);
  if (!fact.script && given != traits.exe_name && !traits.arguments.empty() &&
      proc::base_name(traits.arguments.front()) == given)
    traits.link_name = given;
  const auto unified = path_of(exec.cgroup);
  const auto memory = path_of(exec.memory_cgroup);
  traits.cgroup =
      proc::choose_cgroup(proc::parse_cgroup_path(unified), proc::parse_cgroup_path(memory));
  traits.cgroup_path = unified;
  if (!memory.empty())
    traits.cgroup_path.append(unified.empty() ? "" : "\n").append(memory);
  // Outside every unified cgroup systemd keeps its units in a hierarchy of its own, without a
  // controller.
  fact.cgroup_complete = !unified.empty();
  return fact;
}

using Skeleton = bpf::Skeleton<process_bpf>;

class Process : public Probe {
public:
  Process(Host& host, Skeleton skeleton)
      : services_(host.services), maps_(host.maps), facts_(host.facts), family_(host.family),
        sink_(host.services.processes()), executables_(host.executables), exits_(host.services),
        skeleton_(std::move(skeleton)), loaded_(host.hooks, skeleton_->obj)
  {
  }
  ~Process() override { facts_.unsubscribe(family_); }

  Result<> attach(Host& host);
  void collect(Scrape& scrape) override;
  std::uint64_t events() const override { return seen_.load(std::memory_order_relaxed); }
  std::vector<Loss> losses() const override;
  Result<> self_check() override;

private:
  void on_fact(const FactRecord& record);
  void on_fork(const sonde_process_fork& fork);
  void on_exec(const FactRecord& record);
  void tell_services(const FactRecord& record, const sonde_process_exec& exec);
  void on_exit(const sonde_process_exit& exit);
  void make_up_for_losses();
  std::uint64_t missed() const;

  Services& services_;
  bpf::SharedMaps& maps_;
  Facts& facts_;
  std::uint16_t family_;
  ProcessSink* sink_;
  Executables* executables_;
  ExitCounts exits_;
  Skeleton skeleton_;
  LoadedObject loaded_;
  std::vector<bpf::Link> links_;
  std::atomic<std::uint64_t> seen_ = 0;
  std::atomic<std::uint64_t> malformed_ = 0;
  EventLoop::Timer losses_;
  std::uint64_t lost_ = 0;

  // The child that proves the hooks work; it is not counted.
  std::uint32_t probe_tgid_ = 0;
  bool probe_forked_ = false;
  bool probe_exited_ = false;
};

Result<> Process::attach(Host& host)
{
  facts_.subscribe(family_, [this](const FactRecord& record) { on_fact(record); });
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj)
  {
    if (!bpf_program__autoload(program))
      continue;
    if (auto link = attach_and_report(host, "process", program))
      links_.push_back(std::move(link));
  }
  if (links_.empty())
    return fail("attach: see sonde_probe_up{probe=\"process\"}");
  // What happened between the first look and now.
  if (sink_ != nullptr)
    sink_->resync();
  losses_ = SONDE_TRY(host.loop.timer([this] { make_up_for_losses(); }));
  losses_.arm_every(std::chrono::seconds(5));
  return {};
}

// What the second programs missed was missed by both.
std::uint64_t Process::missed() const
{
  std::uint64_t misses = 0;
  for (const auto* program : {skeleton_->progs.process_fork_again,
                              skeleton_->progs.process_exec_again,
                              skeleton_->progs.process_exit_again}) {
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (const int fd = bpf_program__fd(program);
        fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
      misses += info.recursion_misses;
  }
  return misses;
}

void Process::make_up_for_losses()
{
  const auto lost = maps_.facts_lost(family_) + missed();
  if (std::exchange(lost_, lost) == lost)
    return;
  if (sink_ != nullptr)
    sink_->resync();
  if (executables_ != nullptr)
    executables_->resync();
}

void Process::on_fact(const FactRecord& record)
{
  seen_.fetch_add(1, std::memory_order_relaxed);
  switch (record.head().kind) {
  case SONDE_PROCESS_FORK:
    if (const auto* fork = record.as<sonde_process_fork>())
      return on_fork(*fork);
    break;
  case SONDE_PROCESS_EXEC:
    return on_exec(record);
  case SONDE_PROCESS_EXIT:
    if (const auto* exit = record.as<sonde_process_exit>())
      return on_exit(*exit);
    break;
  default:
    break;
  }
  malformed_.fetch_add(1, std::memory_order_relaxed);
}

void Process::on_fork(const sonde_process_fork& fork)
{
  if (probe_tgid_ != 0 && fork.process.tgid == probe_tgid_)
    probe_forked_ = true;
  if (sink_ != nullptr)
    sink_->forked(
        {identity(fork.process), identity(fork.parent), (fork.flags & SONDE_PROCESS_KERNEL) != 0});
  if (executables_ != nullptr)
    executables_->forked(identity(fork.process), identity(fork.parent));
}

void Process::on_exec(const FactRecord& record)
{
  const auto* exec = record.as<sonde_process_exec>();
  if (exec == nullptr) {
    malformed_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // First the service, which families of uprobes ask for.
  tell_services(record, *exec);
  if (executables_ != nullptr)
    executables_->executed(identity(exec->process));
}

void Process::tell_services(const FactRecord& record, const sonde_process_exec& exec)
{
  if (sink_ == nullptr)
    return;
  const auto tail = record.bytes().subspan(sizeof exec);
  const std::string_view environment(reinterpret_cast<const char*>(tail.data()),
                                     std::min<std::size_t>(exec.environ_size, tail.size()));
  sink_->executed(read_exec(exec, environment));
}

void Process::on_exit(const sonde_process_exit& exit)
{
  if (executables_ != nullptr)
    executables_->exited(identity(exit.process));
  const auto slot =
      sink_ != nullptr
          ? sink_->exited({identity(exit.process), static_cast<std::uint16_t>(exit.slot)})
          : static_cast<std::uint16_t>(exit.slot);
  if (probe_tgid_ != 0 && exit.process.tgid == probe_tgid_) {
    probe_exited_ = true;
    return;
  }
  if (slot && (exit.flags & SONDE_PROCESS_KERNEL) == 0)
    exits_.count(*slot, exit.status, (exit.flags & SONDE_PROCESS_OOM) != 0);
}

void Process::collect(Scrape& scrape)
{
  scrape.out.begin(kMetrics[0]);
  exits_.expose_exits(scrape);
  scrape.out.begin(kMetrics[1]);
  exits_.expose_oom_kills(scrape);
  scrape.out.begin(kMetrics[2]);
  for (const auto& service : scrape.services)
    scrape.out.sample({service.labels}, std::uint64_t{service.instances});
}

std::vector<Loss> Process::losses() const
{
  return {{"malformed", malformed_.load(std::memory_order_relaxed)}, {"preempted", missed()}};
}

// A child that ends at once must be seen to be born and to end.
Result<> Process::self_check()
{
  if (probe_forked_ && probe_exited_)
    return {};
  if (probe_tgid_ == 0) {
    const auto child = ::fork();
    if (child < 0)
      return fail(errno, "process: fork");
    if (child == 0)
      ::_exit(0);
    probe_tgid_ = static_cast<std::uint32_t>(child);
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    facts_.drain();
    if (probe_forked_ && probe_exited_)
      return {};
  }
  return fail(probe_forked_ ? "process: an exit was not seen" : "process: a fork was not seen");
}

void choose_programs(process_bpf& object)
{
  const bool says_last = bpf::Features::kernel().tracepoint_arguments("sched_process_exit") >= 2;
  bpf_program__set_autoload(object.progs.process_exit, says_last);
  bpf_program__set_autoload(object.progs.process_exit_again, says_last);
  bpf_program__set_autoload(object.progs.process_exit_before_6_16, !says_last);
}

Result<std::unique_ptr<Probe>> start(Host& host)
{
  auto skeleton = SONDE_TRY(Skeleton::open());
  SONDE_TRY(host.maps.share_with(skeleton->obj));
  skeleton->rodata->sonde_family = host.family;
  choose_programs(*skeleton.operator->());
  SONDE_TRY(skeleton.load());
  auto probe = std::make_unique<Process>(host, std::move(skeleton));
  SONDE_TRY(probe->attach(host));
  return probe;
}

}  // namespace

extern const Family family{.name = "process", .start = &start, .metrics = kMetrics};

}  // namespace sonde::process
