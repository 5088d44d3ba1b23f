/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads that waited within the library when the probes came. Their begin was not seen, nor does their end
 * come to a return probe. What they read is what the library copies last before it is back in SSL_read, and
 * the connection is known by the socket alone, until another call tells its own name for it. */
#pragma once

#include "lib/tls_stream.h"

/* Threads that wait in a read of a socket; the agent fills it, and takes it for the end of the wait that
 * one is gone. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SONDE_TLS_WAITING);
	__type(key, __u32);
	__type(value, __u32);
} tls_waiting SEC(".maps");

/* Reads of them whose bytes were not to be had. */
__u64 tls_waits_lost = 0;

/* The library copies. Within a call that was seen that is of no interest. */
static __always_inline int waits__copy(struct pt_regs *regs)
{
	struct sonde_tls_thread *thread = tls__thread(bpf_get_current_task_btf(), 0);
	__u64 to = PT_REGS_PARM1(regs), bytes = PT_REGS_PARM3(regs);

	if (!thread || thread->calls[0].stack)
		return 0;
	if (thread->copied.length && thread->copied.base + thread->copied.length == to) {
		thread->copied.length += bytes;
		return 0;
	}
	thread->copied.base = to;
	thread->copied.length = bytes;
	return 0;
}

static __always_inline bool waits__report(struct task_struct *task, struct sonde_tls_thread *thread)
{
	struct sonde_tls_under *under = &thread->under[SONDE_SOCKET_RECEIVED];
	struct sonde_tls_key key = {.tgid = task->tgid}, *over;
	struct sonde_tls_stream *stream;
	__u64 address = under->address, bytes = thread->copied.length;

	if (!address || !thread->received || !bytes || bytes > 0x7fffffff)
		return false;
	over = bpf_map_lookup_elem(&tls_over, &address);
	if (over && over->tgid == key.tgid) {
		key.connection = over->connection;
		stream = bpf_map_lookup_elem(&tls_streams, &key);
	} else {
		stream = stream__of_socket(thread, &key, under);
	}
	if (!stream)
		return false;
	thread->base = thread->copied.base;
	stream__passed(thread, stream, key.tgid, SONDE_SOCKET_RECEIVED, bytes);
	return true;
}

/* Back in SSL_read. Of a call that was seen nothing is left here: its return probe has run. */
static __always_inline int waits__returned(struct pt_regs *regs)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sonde_tls_thread *thread = tls__thread(task, 0);
	__u32 tid = task->pid;
	bool waited = !bpf_map_delete_elem(&tls_waiting, &tid), reported = false;

	if ((int)PT_REGS_RC(regs) <= 0)
		return 0;
	if (thread && thread->copied.length) {
		reported = waits__report(task, thread);
		thread->copied.length = 0;
	}
	if (waited && !reported)
		__sync_fetch_and_add(&tls_waits_lost, 1);
	return 0;
}
