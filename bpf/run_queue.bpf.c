// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Run queue latency, CPU time, blocked time and context switches of every service, by one
 * sched_switch program. CPU + run queue + off-CPU of a thread add up to its lifetime, because all
 * three are differences of one clock. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lib/facts.h"
#include "lib/rows.h"
#include "lib/service.h"
#include "lib/thread_state.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 bounds[SONDE_BUCKETS] = {};
const volatile __u32 clock_mode = SONDE_CLOCK_RQ;
const volatile bool count_cpu = true;
const volatile bool count_off_cpu = true;
/* A wait or an absence longer than this is reported as a fact. */
const volatile __u64 outlier_wait_ns = ~0ull;
/* Reason of a blocked system call, by number. */
const volatile __u8 reason_of_syscall[SONDE_SYSCALLS] = {};

/* Counters of each service; 96 KiB a CPU. */
ROWS(run_queue_rows, SONDE_SLOTS, struct sonde_run_queue_row);
/* What each CPU runs now. */
ROWS(running_rows, 1, struct sonde_run_queue_running);

static __always_inline __u64 clock__now(struct sonde_run_queue_running *running,
					struct task_struct *next)
{
	__u64 now, raw, offset;

	if (clock_mode == SONDE_CLOCK_RQ)
		return next->se.cfs_rq->rq->clock;
	now = bpf_ktime_get_ns();
	if (clock_mode == SONDE_CLOCK_WAKEUP)
		return now;
	/* The run queue's clock lags while it is not updated, so the smallest difference is the
	 * true one; it leaks up by 488 ppm to follow a drift. */
	raw = now - next->se.cfs_rq->rq->clock;
	offset = running->clock_offset + ((now - running->clock_last) >> 11);
	if (!running->clock_last || (__s64)(raw - offset) < 0)
		offset = raw;
	running->clock_offset = offset;
	running->clock_last = now;
	return now - offset;
}

/* The system call that a task is in; one that does not exist where that cannot be told. */
static __always_inline __u64 syscall_of(struct task_struct *task)
{
	struct pt_regs *regs;
	__u64 nr = SONDE_SYSCALLS;

	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)) {
		regs = (struct pt_regs *)bpf_task_pt_regs(task);
#if defined(__TARGET_ARCH_x86)
		return regs->orig_ax;
#else
		return regs->syscallno;
#endif
	}
	/* Before dd6e10fbd9fb "bpf: Add bpf_task_pt_regs() helper", 5.15: at the end of the stack,
	 * whose size is only known where there is but one. */
#if defined(__TARGET_ARCH_x86)
	bpf_probe_read_kernel(&nr, sizeof(nr),
			      (void *)task->stack + (1 << 14) - bpf_core_type_size(struct pt_regs) +
				      bpf_core_field_offset(struct pt_regs, orig_ax));
#endif
	return nr;
}

static __always_inline __u32 reason_of(struct task_struct *task)
{
	__u64 nr;

	if (task->in_iowait)
		return SONDE_OFF_CPU_IO;
	if (task->flags & 0x00200000 /* PF_KTHREAD */)
		return SONDE_OFF_CPU_OTHER;
#if defined(__TARGET_ARCH_x86)
	if (task->thread_info.status & 2 /* TS_COMPAT: other numbers */)
		return SONDE_OFF_CPU_OTHER;
#endif
	nr = syscall_of(task);
	return nr < SONDE_SYSCALLS ? reason_of_syscall[nr] : SONDE_OFF_CPU_OTHER;
}

/* `prev` leaves the CPU it has held since the last switch. */
static __always_inline void leave(struct task_struct *prev, __u64 now, __u64 since, __u32 cpu,
				  bool preempt, unsigned int state)
{
	__u32 slot = service__slot(prev->tgid);
	struct sonde_run_queue_row *row = rows__of_slot(&run_queue_rows, cpu, slot);
	struct sonde_run_queue_task *task;
	bool voluntary;

	if (!row)
		return;
	if (count_cpu && since && now > since)
		row->cpu_ns += now - since;
	task = thread__state(prev);
	/* The kernel has already counted this switch in nvcsw or nivcsw: what it said is right
	 * even where `preempt` and the state mislead (a pending signal). */
	voluntary = task ? task->voluntary != (__u32)prev->nvcsw : !preempt && state;
	if (voluntary)
		row->voluntary++;
	else
		row->involuntary++;
	if (!task)
		return;
	task->voluntary = prev->nvcsw;
	if (count_cpu && (prev->utime != task->utime || prev->stime != task->stime)) {
		row->utime += prev->utime - task->utime;
		row->stime += prev->stime - task->stime;
		task->utime = prev->utime;
		task->stime = prev->stime;
	}
	task->since = now;
	task->queued = voluntary ? 0 : now;
	task->run_delay = prev->sched_info.run_delay;
	task->slot = slot;
	task->reason = voluntary && count_off_cpu ? reason_of(prev) : 0;
	if (state & 0x80 /* TASK_DEAD */)
		thread__forget(prev);
}

/* Volatile: the compiler must not make one load of this and of a field of the kernel's. */
static __always_inline __u64 stamped(struct sonde_run_queue_task *task)
{
	return *(volatile __u64 *)&task->queued;
}

/* `next` gets the CPU: how long it waited for one, and how long it was blocked before. */
static __always_inline void enter(struct task_struct *next, __u64 now, __u32 cpu)
{
	struct sonde_run_queue_task *task;
	struct sonde_run_queue_row *row;
	__u64 wait = 0, absent = 0, queued;
	__u32 slot = service__slot(next->tgid);

	row = rows__of_slot(&run_queue_rows, cpu, slot);
	if (!row)
		return;
	task = thread__state(next);
	if (clock_mode == SONDE_CLOCK_WAKEUP) {
		queued = task ? stamped(task) : 0;
	} else {
		queued = next->sched_info.last_queued;
		/* A waiting task that changed CPUs had its first part moved to run_delay. */
		if (task)
			wait = next->sched_info.run_delay - task->run_delay;
	}
	/* Preempted on its way to sleep: the kernel does not take it for waiting, but it is.
	 * Without any stamp it counts as one that did not wait, so that there is one observation
	 * for each switch and no absence is forgotten. */
	if (!queued && task)
		queued = stamped(task);
	if (queued && (__s64)(now - queued) > 0)
		wait += now - queued;
	if (task && task->since) {
		absent = (__s64)(now - task->since) > 0 ? now - task->since : 0;
		if (wait > absent)
			wait = absent;
	}
	row->wait.buckets[sonde_bucket(bounds, wait)]++;
	row->wait.sum += wait;
	if (wait > outlier_wait_ns)
		facts__outlier(0, wait, next, slot, 0, 0);
	if (!task) {
		row->unknown_tasks++;
		return;
	}
	if (count_off_cpu && absent > wait) {
		__u32 index = task->reason;
		struct sonde_run_queue_row *left =
			rows__of_slot(&run_queue_rows, cpu, task->slot & (SONDE_SLOTS - 1));

		if (left && index < SONDE_OFF_CPU_REASONS)
			left->off_cpu_ns[index] += absent - wait;
	}
	task->since = 0;
	task->queued = 0;
}

static __always_inline int account(bool preempt, struct task_struct *prev, struct task_struct *next,
				   unsigned int state)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct sonde_run_queue_running *running = bpf_map_lookup_elem(&running_rows, &cpu);
	__u64 now, since;

	if (!running)
		return 0;
	now = clock__now(running, next);
	since = running->since;
	running->since = now;
	running->tgid = next->tgid;
	running->switches++;
	if (prev->pid)
		leave(prev, now, since, cpu, preempt, state);
	if (next->pid)
		enter(next, now, cpu);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int state)
{
	return account(preempt, prev, next, state);
}

/* Before 5.18 the tracepoint does not hand over the state prev left in, and before 5.14 the field
 * had another name (2f064a59a11f "sched: Change task_struct::state"). */
struct task_struct___before_5_14 {
	long state;
} __attribute__((preserve_access_index));

SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switch_before_5_18, bool preempt, struct task_struct *prev,
	     struct task_struct *next)
{
	struct task_struct___before_5_14 *old = (void *)prev;
	unsigned int state = bpf_core_field_exists(old->state) ? old->state : prev->__state;

	return account(preempt, prev, next, state);
}

static __always_inline int stamp(struct task_struct *task)
{
	struct sonde_run_queue_task *known = thread__state(task);

	if (known && !known->queued)
		known->queued = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(sched_wakeup, struct task_struct *task)
{
	return stamp(task);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(sched_wakeup_new, struct task_struct *task)
{
	return stamp(task);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(run_queue_fork, struct task_struct *parent, struct task_struct *child)
{
	struct sonde_run_queue_task first = {};

	thread__remember(child, &first, false);
	return 0;
}

/* Gives state to threads that lived before the agent, or that were born without a fork event
 * (workers of io_uring). */
SEC("iter/task")
int run_queue_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct sonde_run_queue_task first = {};

	if (!task)
		return 0;
	first.run_delay = task->sched_info.run_delay;
	first.utime = task->utime;
	first.stime = task->stime;
	first.voluntary = task->nvcsw;
	thread__remember(task, &first, true);
	return 0;
}
