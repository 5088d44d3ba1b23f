/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What run_queue.bpf.c keeps of every thread, from where it is born or found to its last switch
 * (never created in sched_switch: an allocation under the run queue's lock may wake kswapd onto
 * that very lock). In the cell of its number: an array's look-up is inlined, task storage costs 25
 * ns. A thread whose cell another one has is in task storage. */
#pragma once

#include "sonde/run_queue.h"

/* Task storage is younger than 5.10. */
const volatile bool has_task_storage = true;
/* A power of two, less one. Setting: run_queue.cells. */
const volatile __u32 cell_mask = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* aligned to cache lines */
	__uint(max_entries, 1);		   /* the agent's */
	__type(key, __u32);
	__type(value, struct sonde_run_queue_cell);
} run_queue_cells SEC(".maps");

/* Freed with the task. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sonde_run_queue_task);
} tasks SEC(".maps");

static __always_inline struct sonde_run_queue_cell *thread__cell(struct task_struct *task)
{
	__u32 index = (__u32)task->pid & cell_mask;

	return bpf_map_lookup_elem(&run_queue_cells, &index);
}

/* Functions of their own: kernels without task storage must not see these in a program at all. */
static __noinline struct sonde_run_queue_task *thread__stored(struct task_struct *task)
{
	return bpf_task_storage_get(&tasks, task, 0, 0);
}

static __noinline int thread__store(struct task_struct *task, struct sonde_run_queue_task *first)
{
	bpf_task_storage_get(&tasks, task, first, BPF_LOCAL_STORAGE_GET_F_CREATE);
	return 0;
}

/* NULL for a thread that was neither born nor found. */
static __always_inline struct sonde_run_queue_task *thread__state(struct task_struct *task)
{
	struct sonde_run_queue_cell *cell = thread__cell(task);

	if (cell && cell->task == (__u64)task)
		return &cell->state;
	return has_task_storage ? thread__stored(task) : NULL;
}

/* `found` is a thread that may be known already: then what is known of it stands. Two that take one
 * cell within nanoseconds leave one of them unknown. */
static __always_inline void thread__remember(struct task_struct *task,
					     struct sonde_run_queue_task *first, const bool found)
{
	struct sonde_run_queue_cell *cell = thread__cell(task);

	if (found && thread__state(task))
		return;
	if (cell && (!cell->task || cell->task == (__u64)task)) {
		cell->state = *first;
		barrier();
		cell->task = (__u64)task;
		return;
	}
	if (has_task_storage)
		thread__store(task, first);
}

static __always_inline void thread__forget(struct task_struct *task)
{
	struct sonde_run_queue_cell *cell = thread__cell(task);

	if (cell && cell->task == (__u64)task)
		cell->task = 0;
}
