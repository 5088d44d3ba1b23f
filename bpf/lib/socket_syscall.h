/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the system call that the task is in has its bytes. */
#pragma once

#include "lib/socket_call.h"

#if defined(__TARGET_ARCH_x86)
enum {
	NR_READ = 0, NR_WRITE = 1, NR_CLOSE = 3, NR_READV = 19, NR_WRITEV = 20, NR_DUP2 = 33,
	NR_SENDTO = 44, NR_RECVFROM = 45, NR_SENDMSG = 46, NR_RECVMSG = 47, NR_DUP3 = 292,
	NR_PREADV2 = 327, NR_PWRITEV2 = 328, NR_CLOSE_RANGE = 436,
};
#else
enum {
	NR_DUP3 = 24, NR_CLOSE = 57, NR_READ = 63, NR_WRITE = 64, NR_READV = 65, NR_WRITEV = 66,
	NR_SENDTO = 206, NR_RECVFROM = 207, NR_SENDMSG = 211, NR_RECVMSG = 212, NR_PREADV2 = 286,
	NR_PWRITEV2 = 287, NR_CLOSE_RANGE = 436, NR_DUP2 = NR_DUP3,
};
#endif

#define SONDE_NO_CALL ~0ull

/* The number of the system call the task is in; none for workers and for 32-bit calls, whose
 * numbers are others. */
static __always_inline __u64 call__number(struct task_struct *task, struct pt_regs *regs)
{
	if (task->flags & SONDE_PF_IO_WORKER)
		return SONDE_NO_CALL;
#if defined(__TARGET_ARCH_x86)
	if (task->thread_info.status & 2 /* TS_COMPAT */)
		return SONDE_NO_CALL;
	return regs->orig_ax;
#else
	return regs->syscallno;
#endif
}

static __always_inline enum socket_layout call__arguments(struct task_struct *task, __u64 *second,
							  __u64 *third)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

#if defined(__TARGET_ARCH_x86)
	*second = regs->si;
	*third = regs->dx;
#else
	*second = regs->regs[1];
	*third = regs->regs[2];
#endif
	switch (call__number(task, regs)) {
	case NR_READ:
	case NR_WRITE:
	case NR_SENDTO:
	case NR_RECVFROM:
		return LAYOUT_RUN;
	case NR_READV:
	case NR_WRITEV:
	case NR_PREADV2:
	case NR_PWRITEV2:
		return LAYOUT_IOVECS;
	case NR_SENDMSG:
	case NR_RECVMSG:
		return LAYOUT_MESSAGE;
	}
	return LAYOUT_NONE;
}
