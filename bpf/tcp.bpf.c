// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TCP of every service: connections opened and closed, connect latency, round trips, payload bytes,
 * retransmits, resets and drops. Whose socket it is stands in the socket's own storage; kernels
 * whose tracing programs have none of it use a hash by address and the programs named *_hash. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lib/tcp_count.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* kfree_skb reasons that are no drops (consumed, not specified). */
const volatile bool ignored_reason[SONDE_TCP_DROP_REASONS] = {};

/* Drops by the kernel's reason, a row a CPU. */
ROWS(tcp_drop_rows, 1, struct sonde_tcp_drops);

/* The state a socket was last seen in makes the second run for the same change do nothing. */
static __always_inline int changed(struct sock *sk, int from, int to, const bool hash,
				   const bool cas)
{
	struct sonde_tcp_socket *socket;

	if (!tcp__is(sk, true))
		return 0;
	socket = socket__find(sk, hash);
	if (socket && socket->state == to)
		return 0;
	if (to == BPF_TCP_LISTEN) {
		listens(sk, bpf_get_current_pid_tgid() >> 32, hash);
		return 0;
	}
	if (to == BPF_TCP_SYN_SENT) {
		connects(sk, hash);
		return 0;
	}
	if (to == BPF_TCP_SYN_RECV && from != BPF_TCP_SYN_SENT) {
		accepts(sk, hash);
		return 0;
	}
	if (!socket)
		return 0;
	socket->state = to;
	if (to == BPF_TCP_ESTABLISHED)
		established(socket);
	else if (to == BPF_TCP_CLOSE)
		closes(sk, socket, from, cas);
	else if (socket->opened == SONDE_TCP_PENDING)
		confirm(sk, socket, cas);
	return 0;
}

/* Takes up a socket that was there before Sonde; its past is not counted. */
static __always_inline void adopt(struct sock *sk, struct tcp_sock *tp, __u32 tgid,
				  const bool listeners, const bool direct, const bool hash,
				  const bool cas)
{
	struct sonde_tcp_socket first = {.opened = SONDE_TCP_COUNTED}, *known;
	struct tcp_figures now;

	tcp__read(&now, sk, tp, direct, cas);
	if (now.state == BPF_TCP_CLOSE || (now.state == BPF_TCP_LISTEN) != listeners)
		return;
	known = socket__find(sk, hash);
	if (known) {
		/* Of all that hold a socket the first process is the least likely user. */
		if (known->tgid == 1 && tgid != 1)
			own(known, tgid);
		return;
	}
	if (listeners) {
		listens(sk, tgid, hash);
		return;
	}
	own(&first, tgid);
	if (now.state == BPF_TCP_SYN_SENT || now.state == BPF_TCP_SYN_RECV)
		first.opened = SONDE_TCP_NOT_OPEN;
	first.role = listener_of(sk) ? SONDE_TCP_SERVER : SONDE_TCP_CLIENT;
	first.state = now.state;
	first.sent = tcp__payload_sent(&now, first.role);
	first.received = tcp__payload_received(&now);
	first.retransmits = now.retransmits;
	first.rtt_acked = now.acked;
	socket__set(sk, &first, hash);
}

/* Once for each chunk a task takes out of a socket: the cheapest place to see who uses it. */
static __always_inline int received(struct sock *sk, const bool hash, const bool cas)
{
	struct sonde_tcp_socket *socket = socket__find(sk, hash);
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct tcp_sock *tp;

	if (socket) {
		if (socket->tgid != tgid || socket->opened == SONDE_TCP_PENDING)
			confirm(sk, socket, cas);
		return 0;
	}
	tgid = tcp__is(sk, true) ? acting_tgid(sk) : 0;
	tp = tgid ? bpf_skc_to_tcp_sock(sk) : NULL;
	if (tp)
		adopt(sk, tp, tgid, false, true, hash, cas);
	return 0;
}

static __always_inline int reset(struct sock *sk, __u32 direction, const bool hash)
{
	struct sonde_tcp_socket *socket;
	struct sonde_tcp_row *row;
	__u8 state;

	if (!sk || !tcp__is(sk, true))
		return 0;
	state = sk->__sk_common.skc_state;
	/* A refused connect is a connect failure; the other two are no full sockets. */
	if (state == BPF_TCP_TIME_WAIT || state == BPF_TCP_NEW_SYN_RECV ||
	    (state == BPF_TCP_SYN_SENT && direction == SONDE_TCP_RECEIVED))
		return 0;
	socket = socket__find(sk, hash);
	if (!socket)
		return 0;
	if (direction == SONDE_TCP_RECEIVED)
		socket->reset = 1;
	row = row_of(owner_slot(socket));
	if (row)
		COUNT(row->resets[direction & 1], 1);
	return 0;
}

/* Twice, because a kernel never runs a program within itself (05b24ff9b2cf "bpf: Prevent bpf
 * program recursion for raw tracepoint probes"): a soft interrupt that arrives while a task's
 * change is looked at would pass the only one by. It cannot be inside both. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int from, int to)
{
	return changed(sk, from, to, false, true);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state_within, struct sock *sk, int from, int to)
{
	return changed(sk, from, to, false, true);
}

SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_received, struct sock *sk)
{
	return received(sk, false, true);
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcp_reset_sent, struct sock *sk)
{
	return reset(sk, SONDE_TCP_SENT, false);
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_reset_received, struct sock *sk)
{
	return reset(sk, SONDE_TCP_RECEIVED, false);
}

SEC("iter/bpf_sk_storage_map")
int tcp_look(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sonde_tcp_socket *socket = ctx->value;
	struct sock *sk = ctx->sk;
	struct tcp_figures now;
	struct tcp_sock *tp;

	if (!sk || !socket)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	tcp__read(&now, sk, tp, true, true);
	look_at(socket, &now, true);
	return 0;
}

static __always_inline int find_socket(struct bpf_iter__task_file *ctx, const bool listeners)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct tcp_sock *tp;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	sk = socket ? socket->sk : NULL;
	if (!sk || !tcp__is(sk, true))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		adopt(sk, tp, task->tgid, listeners, true, false, true);
	return 0;
}

SEC("iter/task_file")
int tcp_find_listeners(struct bpf_iter__task_file *ctx)
{
	return find_socket(ctx, true);
}

SEC("iter/task_file")
int tcp_find_connections(struct bpf_iter__task_file *ctx)
{
	return find_socket(ctx, false);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state_hash, struct sock *sk, int from, int to)
{
	return changed(sk, from, to, true, false);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state_within_hash, struct sock *sk, int from, int to)
{
	return changed(sk, from, to, true, false);
}

SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_received_hash, struct sock *sk)
{
	return received(sk, true, false);
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcp_reset_sent_hash, struct sock *sk)
{
	return reset(sk, SONDE_TCP_SENT, true);
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_reset_received_hash, struct sock *sk)
{
	return reset(sk, SONDE_TCP_RECEIVED, true);
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroyed_hash, struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&tcp_sockets_hash, &key);
	return 0;
}

/* The socket may be destroyed meanwhile, but its memory stays a TCP socket's for as long as this
 * read section lasts (SLAB_TYPESAFE_BY_RCU). */
SEC("iter/bpf_map_elem")
int tcp_look_hash(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 *address = ctx->key;
	struct sonde_tcp_socket *socket;
	struct tcp_figures now;
	__u64 key;

	if (!address)
		return 0;
	key = *address;
	tcp__read(&now, (struct sock *)key, (struct tcp_sock *)key, false, false);
	socket = bpf_map_lookup_elem(&tcp_sockets_hash, &key);
	if (socket)
		look_at(socket, &now, false);
	return 0;
}

static __always_inline int find_socket_hash(struct bpf_iter__task_file *ctx, const bool listeners)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;

	if (!task || !file || (BPF_CORE_READ(file, f_inode, i_mode) & 0170000) != 0140000)
		return 0;
	socket = (struct socket *)BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (sk && tcp__is(sk, false))
		adopt(sk, (struct tcp_sock *)sk, task->tgid, listeners, false, true, false);
	return 0;
}

SEC("iter/task_file")
int tcp_find_listeners_hash(struct bpf_iter__task_file *ctx)
{
	return find_socket_hash(ctx, true);
}

SEC("iter/task_file")
int tcp_find_connections_hash(struct bpf_iter__task_file *ctx)
{
	return find_socket_hash(ctx, false);
}

static __always_inline bool carries_tcp(struct sk_buff *skb)
{
	__u16 protocol = skb->protocol;
	__u8 next = 0;
	struct sock *sk;

	if (protocol == bpf_htons(0x0800))
		bpf_probe_read_kernel(&next, 1, skb->head + skb->network_header + 9);
	else if (protocol == bpf_htons(0x86dd))
		bpf_probe_read_kernel(&next, 1, skb->head + skb->network_header + 6);
	if (next == IPPROTO_TCP)
		return true;
	sk = skb->sk; /* not yet given to IP */
	return protocol == 0 && sk && sk->sk_protocol == IPPROTO_TCP;
}

/* Before 5.17 the tracepoint has no reason. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(tcp_dropped, struct sk_buff *skb, void *location, unsigned int reason)
{
	__u32 cpu;
	struct sonde_tcp_drops *drops;

	if (reason >= SONDE_TCP_DROP_REASONS || ignored_reason[reason] || !carries_tcp(skb))
		return 0;
	cpu = bpf_get_smp_processor_id();
	drops = bpf_map_lookup_elem(&tcp_drop_rows, &cpu);
	if (drops)
		COUNT(drops->count[reason & (SONDE_TCP_DROP_REASONS - 1)], 1);
	return 0;
}
