// SPDX-License-Identifier: Apache-2.0
// Loads bpf/run_queue.bpf.c and exposes run queue latency, CPU seconds, blocked seconds and context
// switches of every service.
#include "sonde/run_queue.h"

#include <algorithm>
#include <array>
#include <bit>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "run_queue.skel.h"

#include "agent/base/clock.hpp"
#include "agent/bpf/features.hpp"
#include "agent/bpf/shared_maps.hpp"
#include "agent/bpf/skeleton.hpp"
#include "agent/probes/cpu_time.hpp"
#include "agent/probes/loading.hpp"
#include "agent/probes/probe.hpp"
#include "agent/probes/slot_ledger.hpp"
#include "agent/probes/syscall_reasons.hpp"

namespace sonde::run_queue {

namespace {

using metrics::Type;

constexpr metrics::Desc kMetrics[] = {
    {"node_run_queue_latency_seconds",
     Type::kHistogram,
     "Time threads waited for a CPU after they became runnable, counted at each switch by "
     "sched_switch; what expired services had stays in."},
    {"service_run_queue_latency_seconds",
     Type::kHistogram,
     "Time the service's threads waited for a CPU after they became runnable, as "
     "/proc/PID/schedstat accounts it.",
     "service"},
    {"service_cpu_seconds_total",
     Type::kCounter,
     "CPU time of the service, exact to the switch, the interval running now included; split by "
     "the kernel's own utime:stime.",
     "service mode"},
    {"service_off_cpu_seconds_total",
     Type::kCounter,
     "Time the service's threads were blocked (not waiting for a CPU), counted when they run "
     "again; reason from in_iowait and the system call's number.",
     "service reason"},
    {"service_context_switches_total",
     Type::kCounter,
     "Context switches away from the service's threads, as /proc/PID/status counts them.",
     "service kind"},
};

constexpr Setting kSettings[] = {
    {"probe.cpu", SettingKind::kBool, "true", "CPU time of each service (part of run_queue)"},
    {"run_queue.bounds",
     SettingKind::kDurations,
     "1us 2us 4us 8us 16us 32us 64us 128us 256us 512us 1024us 2048us 4096us 8192us 16384us 32768us "
     "65536us 131072us 262144us 524288us 1048576us 2097152us 4194304us 8388608us 16777216us",
     "upper bounds of run queue latency histograms, at most 31"},
    {"run_queue.clock",
     SettingKind::kText,
     "auto",
     "rq (the run queue's own clock, as schedstat), ktime (sees wake-up and idle exit delays too), "
     "wakeup (a stamp at wake-up, for kernels without sched_info), or auto",
     "auto rq ktime wakeup"},
    {"run_queue.cells",
     SettingKind::kInteger,
     "8192",
     "threads remembered in an array by their number, 64 bytes each, rounded up to a power of two; "
     "of threads with one cell all but one are in task storage, which is slower"},
    {"run_queue.off_cpu", SettingKind::kBool, "true", "blocked time of each service, by reason"},
    {"run_queue.outlier",
     SettingKind::kDuration,
     "100ms",
     "a wait for a CPU longer than this goes into the list of outliers; 0s turns it off"},
};

constexpr std::array<std::string_view, SONDE_OFF_CPU_REASONS> kReasons = {R"(reason="other")",
                                                                          R"(reason="io")",
                                                                          R"(reason="lock")",
                                                                          R"(reason="network")",
                                                                          R"(reason="sleep")"};

Result<sonde_run_queue_clock> choose_clock(const std::string& wanted, const bpf::Features& kernel)
{
  const bool sched_info = kernel.has_field("sched_info", "last_queued") &&
                          kernel.has_field("rq", "clock") && kernel.has_field("cfs_rq", "rq");
  if (wanted == "wakeup")
    return SONDE_CLOCK_WAKEUP;
  if (wanted == "rq" || wanted == "ktime") {
    if (!sched_info)
      return fail("run_queue.clock: " + wanted +
                  " needs sched_info and group scheduling, which "
                  "this kernel was built without");
    return wanted == "rq" ? SONDE_CLOCK_RQ : SONDE_CLOCK_KTIME;
  }
  if (wanted != "auto")
    return fail("run_queue.clock: \"" + wanted + "\" is none of auto, rq, ktime, wakeup");
  return sched_info ? SONDE_CLOCK_RQ : SONDE_CLOCK_WAKEUP;
}

std::string_view describe(sonde_run_queue_clock clock)
{
  switch (clock) {
  case SONDE_CLOCK_RQ:
    return "clock: run queue";
  case SONDE_CLOCK_KTIME:
    return "clock: ktime";
  case SONDE_CLOCK_WAKEUP:
    break;
  }
  return "clock: wake-up stamps";
}

using Skeleton = bpf::Skeleton<run_queue_bpf>;
using Ledger = SlotLedger<sonde_run_queue_row>;

class RunQueue : public Probe, private SlotObserver {
public:
  RunQueue(Host& host, Skeleton skeleton, metrics::Bounds bounds)
      : services_(host.services), hooks_(host.hooks), skeleton_(std::move(skeleton)),
        bounds_(std::move(bounds)), cpu_on_(skeleton_->rodata->count_cpu),
        off_cpu_on_(skeleton_->rodata->count_off_cpu), loaded_(host.hooks, skeleton_->obj)
  {
  }
  ~RunQueue() override { services_.remove_observer(*this); }

  Result<> attach(Host& host);
  Result<> map_rows(unsigned cpus);
  bool gives_storage() const;

  void collect(Scrape& scrape) override;
  std::uint64_t events() const override { return cpu_->switches(); }
  std::vector<Loss> losses() const override;
  Result<> self_check() override;

private:
  void find_tasks();
  void expose_cpu(Scrape& scrape);

  void slot_taken(std::uint16_t slot, std::uint16_t) override { cpu_->slot_taken(slot); }
  void slot_released(std::uint16_t) override {}
  void process_moved(std::uint32_t tgid, std::uint16_t from, std::uint16_t to) override
  {
    cpu_->process_moved(tgid, from, to);
  }

  Services& services_;
  Hooks& hooks_;
  Skeleton skeleton_;
  metrics::Bounds bounds_;
  bool cpu_on_;
  bool off_cpu_on_;
  LoadedObject loaded_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<CpuTime> cpu_;
  std::vector<bpf::Link> links_;
  std::uint64_t unknown_tasks_ = 0;  // when find_tasks() last ran
};

Result<> RunQueue::map_rows(unsigned cpus)
{
  ledger_ = std::make_unique<Ledger>(
      services_,
      SONDE_TRY(bpf::Rows<sonde_run_queue_row>::create(
          bpf_map__fd(skeleton_->maps.run_queue_rows), cpus, SONDE_SLOTS)));
  cpu_ = std::make_unique<CpuTime>(SONDE_TRY(bpf::Rows<sonde_run_queue_running>::create(
                                       bpf_map__fd(skeleton_->maps.running_rows), cpus, 1)),
                                   ledger_->rows());
  services_.add_observer(*this);
  return {};
}

Result<> RunQueue::attach(Host& host)
{
  const auto clock = static_cast<sonde_run_queue_clock>(skeleton_->rodata->clock_mode);
  bpf_program* program = nullptr;
  bool switches = false;
  bpf_object__for_each_program(program, skeleton_->obj)
  {
    const std::string_view section = bpf_program__section_name(program);
    if (!bpf_program__autoload(program) || section.starts_with("iter/"))
      continue;
    const bool is_switch = section == "tp_btf/sched_switch";
    auto link = attach_and_report(
        host, "run_queue", program, is_switch ? std::string(describe(clock)) : std::string());
    switches = switches || (is_switch && link);
    if (link)
      links_.push_back(std::move(link));
  }
  if (!switches)
    return fail("attach tp_btf/sched_switch: see sonde_probe_up{probe=\"run_queue\"}");
  host.hooks.report("cpu", "tp_btf/sched_switch", cpu_on_, cpu_on_ ? "" : "off: probe.cpu");
  if (!skeleton_->rodata->has_task_storage)
    host.hooks.report(
        "run_queue",
        "task_storage",
        false,
        "this kernel gives tasks no storage for tracing programs (before 5.11; from "
        "7.0 on, CPUs without cmpxchg16b): of threads with one of run_queue.cells only "
        "one has blocked time");
  find_tasks();
  return {};
}

// Kernels from 7.0 on allocate task storage without locks, which a CPU without cmpxchg16b cannot:
// there everything loads and nothing is ever stored. Seen by giving this very task some.
bool RunQueue::gives_storage() const
{
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!self)
    return true;
  const int key = self.get();
  const sonde_run_queue_task state{};
  const int map = bpf_map__fd(skeleton_->maps.tasks);
  if (bpf_map_update_elem(map, &key, &state, BPF_NOEXIST) != 0)
    return errno == EEXIST;
  bpf_map_delete_elem(map, &key);
  return true;
}

// Runs the iterator that gives state to threads without any.
void RunQueue::find_tasks()
{
  const auto link = bpf::Link::attach_iterator(skeleton_->progs.run_queue_tasks, -1);
  const auto done = link ? bpf::run_iterator(*link) : Result<>(Failure(link.error()));
  hooks_.report("run_queue", "iter/task", done.has_value(), done ? "" : done.error().message());
}

void RunQueue::collect(Scrape& scrape)
{
  cpu_->read([this] { ledger_->update(); },
             [this](std::uint32_t tgid) { return services_.slot_of(tgid); });
  const auto node = ledger_->node();
  auto& out = scrape.out;
  out.begin(kMetrics[0]);
  out.histogram({}, bounds_, node.wait);
  out.begin(kMetrics[1]);
  for (const auto& service : scrape.services)
    if (const auto row = ledger_->of(service.slot, service.generation))
      out.histogram({service.labels}, bounds_, row->wait);
  if (cpu_on_)
    expose_cpu(scrape);
  if (off_cpu_on_) {
    out.begin(kMetrics[3]);
    for (const auto& service : scrape.services)
      if (const auto row = ledger_->of(service.slot, service.generation))
        for (std::size_t i = 0; i < kReasons.size(); ++i)
          out.sample({service.labels, kReasons[i]}, seconds(row->off_cpu_ns[i]));
  }
  out.begin(kMetrics[4]);
  for (const auto& service : scrape.services)
    if (const auto row = ledger_->of(service.slot, service.generation)) {
      out.sample({service.labels, R"(kind="voluntary")"}, std::uint64_t{row->voluntary});
      out.sample({service.labels, R"(kind="involuntary")"}, std::uint64_t{row->involuntary});
    }
  // Threads born without a fork event: look for them when one was met.
  if (node.unknown_tasks != unknown_tasks_) {
    unknown_tasks_ = node.unknown_tasks;
    find_tasks();
  }
}

void RunQueue::expose_cpu(Scrape& scrape)
{
  scrape.out.begin(kMetrics[2]);
  for (const auto& service : scrape.services)
    if (const auto row = ledger_->of(service.slot, service.generation)) {
      const auto split = cpu_->split(service.slot, *row);
      scrape.out.sample({service.labels, R"(mode="user")"}, seconds(split.user_ns));
      scrape.out.sample({service.labels, R"(mode="system")"}, seconds(split.system_ns));
    }
}

std::vector<Loss> RunQueue::losses() const
{
  return {{"unknown_task", ledger_->node().unknown_tasks}};
}

Result<> RunQueue::self_check()
{
  if (cpu_->switches() == 0)
    return fail("run_queue: no context switch has been seen");
  return {};
}

Result<std::uint32_t> cells_for(std::int64_t wanted)
{
  if (wanted < 1 || wanted > (1 << 22))
    return fail("run_queue.cells: 1 to 4Mi");
  return std::bit_ceil(static_cast<std::uint32_t>(wanted));
}

void choose_programs(run_queue_bpf& object, sonde_run_queue_clock clock, bool storage)
{
  const bool hands_over_state = bpf::Features::kernel().tracepoint_arguments("sched_switch") >= 4;
  bpf_program__set_autoload(object.progs.sched_switch, hands_over_state);
  bpf_program__set_autoload(object.progs.sched_switch_before_5_18, !hands_over_state);
  const bool stamps = clock == SONDE_CLOCK_WAKEUP;
  bpf_program__set_autoload(object.progs.sched_wakeup, stamps);
  bpf_program__set_autoload(object.progs.sched_wakeup_new, stamps);
  bpf_map__set_autocreate(object.maps.tasks, storage);
}

Result<std::unique_ptr<RunQueue>> start_with(Host& host, bool storage)
{
  const auto& kernel = bpf::Features::kernel();
  const auto clock = SONDE_TRY(choose_clock(host.settings.text("run_queue.clock"), kernel));
  auto bounds = SONDE_TRY(duration_bounds(host.settings, "run_queue.bounds"));

  auto skeleton = SONDE_TRY(Skeleton::open());
  SONDE_TRY(host.maps.share_with(skeleton->obj));
  auto& config = *skeleton->rodata;
  config.sonde_family = host.family;
  config.clock_mode = clock;
  const auto cells = SONDE_TRY(cells_for(host.settings.integer("run_queue.cells")));
  bpf_map__set_max_entries(skeleton->maps.run_queue_cells, cells);
  config.cell_mask = cells - 1;
  config.has_task_storage = storage;
  config.count_cpu = host.settings.flag("probe.cpu");
  config.count_off_cpu = host.settings.flag("run_queue.off_cpu");
  if (const auto outlier = host.settings.duration("run_queue.outlier").count(); outlier > 0)
    config.outlier_wait_ns = static_cast<std::uint64_t>(outlier);
  std::ranges::copy(bounds.padded(), config.bounds);
  std::ranges::copy(syscall_reasons(), config.reason_of_syscall);
  choose_programs(*skeleton.operator->(), clock, storage);
  SONDE_TRY(skeleton.load());

  auto probe = std::make_unique<RunQueue>(host, std::move(skeleton), std::move(bounds));
  SONDE_TRY(probe->map_rows(host.maps.cpus()));
  SONDE_TRY(probe->attach(host));
  return probe;
}

Result<std::unique_ptr<Probe>> start(Host& host)
{
  const bool storage = bpf::Features::has_map(BPF_MAP_TYPE_TASK_STORAGE);
  auto probe = SONDE_TRY(start_with(host, storage));
  if (!storage || probe->gives_storage())
    return probe;
  probe.reset();
  return SONDE_TRY(start_with(host, false));
}

}  // namespace

extern const Family family{
    .name = "run_queue", .start = &start, .metrics = kMetrics, .settings = kSettings};

}  // namespace sonde::run_queue
