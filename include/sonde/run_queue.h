/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Run queue, CPU, blocked time and context switches of each service: bpf/run_queue.bpf.c and
 * agent/probes/run_queue.cpp. */
#pragma once

#include "sonde/abi.h"
#include "sonde/histogram.h"

/* Why a thread was off its CPU, as far as the scheduler can tell. */
enum sonde_off_cpu_reason {
	SONDE_OFF_CPU_OTHER = 0,
	SONDE_OFF_CPU_IO = 1,
	SONDE_OFF_CPU_LOCK = 2,
	SONDE_OFF_CPU_NETWORK = 3,
	SONDE_OFF_CPU_SLEEP = 4,
	SONDE_OFF_CPU_REASONS = 5,
};

/* Which clock the switch program reads. */
enum sonde_run_queue_clock {
	SONDE_CLOCK_RQ = 0,	/* the run queue's own, as schedstat: no clock read at all */
	SONDE_CLOCK_KTIME = 1,	/* ktime shifted onto the run queue's clock */
	SONDE_CLOCK_WAKEUP = 2, /* ktime and a stamp at wake-up: kernels without sched_info */
};

#define SONDE_SYSCALLS 512 /* numbers with a reason of their own */

struct sonde_run_queue_row {
	struct sonde_histogram wait; /* ns */
	__u64 cpu_ns;
	__u64 utime, stime; /* the kernel's own split, ns */
	__u64 voluntary, involuntary;
	__u64 off_cpu_ns[SONDE_OFF_CPU_REASONS];
	__u64 unknown_tasks; /* switch-ins of a task without state: nothing known of its absence */
	__u64 padding[3];
};

/* What runs on a CPU since its last switch, one row a CPU; tgid 0 when it idles. */
struct sonde_run_queue_running {
	__u64 since; /* in the clock of the switch program; 0 before the first switch */
	__u64 tgid;
	__u64 clock_offset; /* ktime minus the run queue's clock, running minimum */
	__u64 clock_last;
	__u64 switches;
	__u64 padding[3];
};

/* What is known of a thread. */
struct sonde_run_queue_task {
	__u64 since;	 /* switch-out, 0 while it runs or was never switched out */
	__u64 queued;	 /* SONDE_CLOCK_WAKEUP: when it became runnable */
	__u64 run_delay; /* sched_info.run_delay at switch-out */
	__u64 utime, stime;
	__u32 voluntary; /* low bits of nvcsw at the last switch-out */
	__u16 slot;	 /* the service it left the CPU for */
	__u16 reason;
};

struct sonde_run_queue_cell {
	struct sonde_run_queue_task state;
	__u64 task; /* its address; 0 in a free cell */
	__u64 padding;
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_run_queue_cell) == 64, "a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_run_queue_row) == 384, "multiple of a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_run_queue_running) == 64, "a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_run_queue_task) == 48, "wire format");
