/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What each thread is doing with TLS: the calls it is in, and the sockets it used last. */
#pragma once

#include "lib/socket_state.h"
#include "sonde/tls.h"

/* Of threads that have called a TLS library; freed with the thread. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sonde_tls_thread);
} tls_threads SEC(".maps");

static __always_inline struct sonde_tls_thread *tls__thread(struct task_struct *task, __u64 flags)
{
	return bpf_task_storage_get(&tls_threads, task, 0, flags);
}

/* Processes whose threads are known from their first socket on: they have rustls, or one waits in a read. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} tls_processes SEC(".maps");

/* How many there are; the agent's. */
__u32 tls_process_count = 0;

static __always_inline bool tls__is_known(__u32 tgid)
{
	return tls_process_count && bpf_map_lookup_elem(&tls_processes, &tgid);
}

static __always_inline struct sonde_tls_thread *tls__known_thread(struct task_struct *task)
{
	struct sonde_tls_thread *thread;

	if (!tls__is_known(task->tgid))
		return NULL;
	thread = tls__thread(task, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread)
		thread->in_library = 1;
	return thread;
}

/* A call begins. One that is further down the stack and has not returned is the one it is made
 * from; others have been left without a return (longjmp, exceptions). */
static __always_inline void tls__enter(struct sonde_tls_thread *thread,
				       const struct sonde_tls_call *call)
{
	struct sonde_tls_call *outer = &thread->calls[0];

	thread->copied.length = 0;
	if (outer->stack > call->stack) {
		thread->calls[1] = *call;
		return;
	}
	*outer = *call;
	thread->calls[1].stack = 0;
}

/* The call that returns with the stack at `stack`, which is then no longer under way. */
static __always_inline bool tls__leave(struct sonde_tls_thread *thread, struct sonde_tls_call *call,
				       __u64 stack)
{
	for (int i = SONDE_TLS_DEPTH - 1; i >= 0; i--) {
		struct sonde_tls_call *one = &thread->calls[i];

		if (!one->stack || one->stack >= stack)
			continue;
		*call = *one;
		one->stack = 0;
		return true;
	}
	return false;
}

/* Read by address: a program on a uprobe knows a socket by nothing else. */
static __always_inline int under__transport(struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	__u16 protocol = BPF_CORE_READ(sk, sk_protocol);

	if (BPF_CORE_READ(sk, sk_type) != SONDE_SOCK_STREAM)
		return -1;
	if (family == SONDE_AF_UNIX)
		return SONDE_SOCKET_UNIX;
	if (family != SONDE_AF_INET && family != SONDE_AF_INET6)
		return -1;
	if (protocol == IPPROTO_TCP)
		return SONDE_SOCKET_TCP;
	return protocol == SONDE_IPPROTO_MPTCP ? SONDE_SOCKET_MPTCP : -1;
}

/* What a record says of the socket. It is in use, or was a moment ago: only then has a thread noted it. */
static __always_inline void under__describe(struct sonde_socket_opened *to, __u64 address)
{
	struct sock *sk = (struct sock *)address;
	__u32 *local = (__u32 *)to->local, *remote = (__u32 *)to->remote;
	struct sonde_socket_port port = {};
	__u16 family;

	to->netns = 0;
	to->local_port = to->remote_port = 0;
	to->role = SONDE_SOCKET_ROLE_UNKNOWN;
	__builtin_memset(to->local, 0, sizeof(to->local));
	__builtin_memset(to->remote, 0, sizeof(to->remote));
	if (!sk)
		return;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	to->netns = port.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (family != SONDE_AF_INET && family != SONDE_AF_INET6)
		return;
	port.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	to->role = bpf_map_lookup_elem(&socket_ports, &port) ? SONDE_SOCKET_ROLE_SERVER
							     : SONDE_SOCKET_ROLE_CLIENT;
	to->local_port = port.port;
	to->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (family == SONDE_AF_INET) {
		local[2] = remote[2] = bpf_htonl(0xffff);
		local[3] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		remote[3] = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		return;
	}
	bpf_probe_read_kernel(local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	bpf_probe_read_kernel(remote, 16, &sk->__sk_common.skc_v6_daddr);
}
