// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Life of processes: fork copies the service slot, exec reports what decides a name, exit reports
 * how it ended. Everything is a fact in the ring. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lib/facts.h"
#include "lib/service.h"
#include "lib/twice.h"
#include "sonde/process.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PF_KTHREAD	  0x00200000
#define SIGNAL_GROUP_EXIT 0x00000004

/* 633488947ef6 "kernfs: Use RCU to access kernfs_node::parent", 6.15 */
struct kernfs_node___before_6_15 {
	struct kernfs_node *parent;
} __attribute__((preserve_access_index));

static __always_inline void process__identify(struct sonde_process *process,
					      struct task_struct *task)
{
	process->tgid = BPF_CORE_READ(task, tgid);
	process->padding = 0;
	process->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
}

static __always_inline __u32 process__flags(struct task_struct *task)
{
	return BPF_CORE_READ(task, flags) & PF_KTHREAD ? SONDE_PROCESS_KERNEL : 0;
}

enum { FORK, EXEC, EXIT };

static __always_inline int fork__report(struct task_struct *parent, struct task_struct *child,
					const bool again)
{
	struct sonde_process_fork *fork;

	if (child->pid != child->tgid || !twice__mine(FORK, child->tgid, again))
		return 0;
	service__set_slot(child->tgid, service__slot(parent->tgid));
	fork = facts__reserve(SONDE_PROCESS_FORK, sizeof(*fork));
	if (!fork)
		return 0;
	process__identify(&fork->process, child);
	process__identify(&fork->parent, BPF_CORE_READ(child, real_parent));
	fork->flags = process__flags(child);
	fork->padding = 0;
	facts__submit(fork);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	return fork__report(parent, child, false);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork_again, struct task_struct *parent, struct task_struct *child)
{
	return fork__report(parent, child, true);
}

static __always_inline struct kernfs_node *kernfs__parent(struct kernfs_node *node)
{
	struct kernfs_node___before_6_15 *old = (void *)node;

	if (bpf_core_field_exists(old->parent))
		return BPF_CORE_READ(old, parent);
	return BPF_CORE_READ(node, __parent);
}

/* Names from the leaf up. The root's name is "". */
static __always_inline void cgroup__names(char (*names)[SONDE_CGROUP_NAME],
					  struct kernfs_node *node)
{
	for (int level = 0; level < SONDE_CGROUP_LEVELS; level++) {
		names[level][0] = 0;
		if (!node)
			continue;
		bpf_probe_read_kernel_str(names[level], SONDE_CGROUP_NAME,
					  BPF_CORE_READ(node, name));
		node = kernfs__parent(node);
	}
}

static __always_inline void exec__cgroups(struct sonde_process_exec *exec, struct task_struct *task)
{
	struct cgroup *unified = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	struct kernfs_node *node = BPF_CORE_READ(unified, kn);
	struct cgroup *memory = NULL;

	exec->cgroup_id = BPF_CORE_READ(node, id);
	cgroup__names(exec->cgroup, node);
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
		struct css_set *set = BPF_CORE_READ(task, cgroups);
		int id = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
		struct cgroup_subsys_state *css = NULL;

		bpf_probe_read_kernel(&css, sizeof(css),
				      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
					      id * sizeof(css));
		memory = BPF_CORE_READ(css, cgroup);
	}
	exec->memory_cgroup_id = 0;
	node = NULL;
	/* In the unified hierarchy the controller's cgroup may be an ancestor: of no interest. */
	if (memory && BPF_CORE_READ(memory, root) != BPF_CORE_READ(unified, root)) {
		node = BPF_CORE_READ(memory, kn);
		exec->memory_cgroup_id = BPF_CORE_READ(node, id);
	}
	cgroup__names(exec->memory_cgroup, node);
}

static __always_inline void exec__identity(struct sonde_process_exec *exec,
					   struct task_struct *task, struct linux_binprm *bprm)
{
	const char *filename = BPF_CORE_READ(bprm, filename);

	process__identify(&exec->process, task);
	process__identify(&exec->parent, BPF_CORE_READ(task, real_parent));
	exec->flags = BPF_CORE_READ(bprm, interp) == filename ? 0 : SONDE_PROCESS_SCRIPT;
	bpf_probe_read_kernel_str(exec->comm, sizeof(exec->comm), task->comm);
	exec->filename[0] = 0;
	bpf_probe_read_kernel_str(exec->filename, sizeof(exec->filename), filename);
	exec->exe_name[0] = 0;
	bpf_probe_read_kernel_str(exec->exe_name, sizeof(exec->exe_name),
				  BPF_CORE_READ(task, mm, exe_file, f_path.dentry, d_name.name));
	exec__cgroups(exec, task);
}

/* Copies user memory [from, to) as far as `limit` allows; how many bytes there are now. */
static __always_inline __u32 exec__copy(char *out, __u64 limit, __u64 from, __u64 to)
{
	__u64 size = to - from;

	if (size > limit)
		size = limit;
	/* Tells verifiers before 5.15 that the bound holds in the low half as well. */
	asm volatile("" : "+r"(size));
	if (size > limit || size == 0)
		return 0;
	return bpf_probe_read_user(out, size, (void *)from) ? 0 : size;
}

static __always_inline int exec__report(struct task_struct *task, struct linux_binprm *bprm,
					struct mm_struct *mm, __u32 environ_limit)
{
	struct sonde_process_exec *exec =
		facts__reserve(SONDE_PROCESS_EXEC, sizeof(*exec) + environ_limit);
	__u64 from, to;

	/* At once: with code in between, clang keeps the answer in another register, and the
	 * verifier of 6.1 does not see that it speaks of the record. */
	if (!exec)
		return 0;
	from = BPF_CORE_READ(mm, env_start);
	to = BPF_CORE_READ(mm, env_end);
	exec__identity(exec, task, bprm);
	exec->args_size = exec__copy(exec->args, SONDE_EXEC_ARGS, BPF_CORE_READ(mm, arg_start),
				     BPF_CORE_READ(mm, arg_end));
	exec->environ_size =
		environ_limit ? exec__copy((char *)(exec + 1), environ_limit, from, to) : 0;
	exec->environ_left = to - from - exec->environ_size;
	/* The program's first call may be one that probes are for: at once, though the agent, woken by
	 * the fork, will look again by itself. */
	bpf_ringbuf_submit(exec, BPF_RB_FORCE_WAKEUP);
	return 0;
}

static __always_inline int executed(struct task_struct *task, struct linux_binprm *bprm,
				    const bool again)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u64 size = BPF_CORE_READ(mm, env_end) - BPF_CORE_READ(mm, env_start);

	if (!twice__mine(EXEC, task->tgid, again))
		return 0;
	/* A ring that runs full keeps its rest for exits, which cannot be read anywhere else. */
	if (bpf_ringbuf_query(&facts, BPF_RB_AVAIL_DATA) * 2 >
	    bpf_ringbuf_query(&facts, BPF_RB_RING_SIZE))
		return exec__report(task, bprm, mm, 0);
	if (size <= SONDE_EXEC_SMALL)
		return exec__report(task, bprm, mm, SONDE_EXEC_SMALL);
	return exec__report(task, bprm, mm, SONDE_EXEC_LARGE);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	return executed(task, bprm, false);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec_again, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	return executed(task, bprm, true);
}

static __always_inline int exit__report(struct task_struct *task, const bool again)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct sonde_process_exit *exit;

	if (!twice__mine(EXIT, task->tgid, again))
		return 0;
	exit = facts__reserve(SONDE_PROCESS_EXIT, sizeof(*exit));
	if (!exit)
		return 0;
	process__identify(&exit->process, task);
	exit->slot = service__slot(task->tgid);
	/* As wait_task_zombie() chooses. */
	exit->status = BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT
			       ? BPF_CORE_READ(signal, group_exit_code)
			       : BPF_CORE_READ(task, group_leader, exit_code);
	exit->flags = process__flags(task);
	if (BPF_CORE_READ(signal, oom_mm))
		exit->flags |= SONDE_PROCESS_OOM;
	exit->padding = 0;
	facts__submit(exit);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task, bool group_dead)
{
	return group_dead ? exit__report(task, false) : 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit_again, struct task_struct *task, bool group_dead)
{
	return group_dead ? exit__report(task, true) : 0;
}

/* Before 6.16 nothing says which thread was the last: two that leave together may both see 0, and
 * the agent counts their group once. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit_before_6_16, struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, live.counter) == 0 ? exit__report(task, false) : 0;
}
