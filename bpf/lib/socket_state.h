/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What Sonde keeps of each socket, and what it announces when it first meets one. */
#pragma once

#include "lib/service.h"
#include "lib/socket_ring.h"

#define SONDE_AF_UNIX	     1
#define SONDE_AF_INET	     2
#define SONDE_AF_INET6	     10
#define SONDE_IPPROTO_MPTCP  262
#define SONDE_SOCK_STREAM    1
#define SONDE_RCV_SHUTDOWN   1

/* Every stream socket that was used since the agent started; freed with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sonde_socket);
} sockets SEC(".maps");

/* What the agent wants of each socket. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SONDE_SOCKET_VERDICTS);
	__type(key, __u32);
	__type(value, struct sonde_socket_verdict);
} socket_verdicts SEC(".maps");

/* Listening ports; left to age where the listener goes: a hint only. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct sonde_socket_port);
	__type(value, __u32);
} socket_ports SEC(".maps");

/* Where the call that just ended begins in its stream, and where both streams begin for the agent:
 * at their first byte, or for a socket that is older than the tap about where they stand now. */
struct socket_place {
	__u32 position;
	__u32 origin[SONDE_SOCKET_DIRECTIONS];
	bool from_start;
};

/* TCP, MPTCP and AF_UNIX streams; -1 for everything else. */
static __always_inline int socket__transport(struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	if (sk->sk_type != SONDE_SOCK_STREAM)
		return -1;
	if (family == SONDE_AF_UNIX)
		return SONDE_SOCKET_UNIX;
	if (family != SONDE_AF_INET && family != SONDE_AF_INET6)
		return -1;
	if (sk->sk_protocol == IPPROTO_TCP)
		return SONDE_SOCKET_TCP;
	return sk->sk_protocol == SONDE_IPPROTO_MPTCP ? SONDE_SOCKET_MPTCP : -1;
}

static __always_inline __u32 socket__role(struct sock *sk, int transport)
{
	struct sonde_socket_port port = {.port = sk->__sk_common.skc_num};

	if (transport == SONDE_SOCKET_UNIX)
		return SONDE_SOCKET_ROLE_UNKNOWN;
	port.netns = sk->__sk_common.skc_net.net->ns.inum;
	return bpf_map_lookup_elem(&socket_ports, &port) ? SONDE_SOCKET_ROLE_SERVER
							 : SONDE_SOCKET_ROLE_CLIENT;
}

/* By the kernel's sequence numbers, after a call that moved `bytes`. A receive that took the peer's
 * FIN along has counted it: the position is that of the bytes before. Other threads may be between
 * their call and its tap, so what stands now is no origin for a socket whose start was seen. */
static __always_inline void place__tcp(struct socket_place *place, struct sonde_socket *socket,
				       struct tcp_sock *tp, struct sock *sk, int direction,
				       __u32 bytes)
{
	__u32 written = tp->write_seq, copied = tp->copied_seq, next = tp->rcv_nxt;

	if ((sk->__sk_common.skc_flags & (1ul << SOCK_DONE)) && copied == next)
		copied--;
	if (direction == SONDE_SOCKET_SENT)
		place->position = written -= bytes;
	else
		place->position = copied -= bytes;
	place->from_start = socket->state & SONDE_SOCKET_FRESH;
	if (!place->from_start) {
		place->origin[SONDE_SOCKET_SENT] = written;
		place->origin[SONDE_SOCKET_RECEIVED] = copied;
		return;
	}
	place->origin[SONDE_SOCKET_SENT] = socket->count[SONDE_SOCKET_SENT];
	place->origin[SONDE_SOCKET_RECEIVED] = socket->count[SONDE_SOCKET_RECEIVED];
}

/* Both streams are about to begin: nobody can have written or read anything yet. */
static __always_inline void socket__established(struct sock *sk, int transport)
{
	struct sonde_socket *socket =
		bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	struct tcp_sock *tp;

	if (!socket || socket->id)
		return;
	if (transport == SONDE_SOCKET_TCP) {
		tp = bpf_skc_to_tcp_sock(sk);
		if (!tp)
			return;
		socket->count[SONDE_SOCKET_SENT] = tp->write_seq;
		socket->count[SONDE_SOCKET_RECEIVED] = tp->copied_seq;
	}
	socket->state = SONDE_SOCKET_FRESH;
}

static __always_inline void place__counted(struct socket_place *place, struct sonde_socket *socket,
					   int direction, __u32 bytes)
{
	place->position = __sync_fetch_and_add(&socket->count[direction & 1], bytes);
	place->from_start = !(socket->state & SONDE_SOCKET_OLDER);
	place->origin[0] = place->origin[1] = 0;
	if (!place->from_start) {
		place->origin[direction & 1] = place->position;
		place->origin[!direction] = socket->count[!direction];
	}
}

static __always_inline void socket__addresses(struct sonde_socket_opened *to, struct sock *sk,
					      int transport)
{
	__u32 *local = (__u32 *)to->local, *remote = (__u32 *)to->remote;

	__builtin_memset(to->local, 0, sizeof(to->local));
	__builtin_memset(to->remote, 0, sizeof(to->remote));
	to->netns = sk->__sk_common.skc_net.net->ns.inum;
	to->local_port = 0;
	to->remote_port = 0;
	if (transport == SONDE_SOCKET_UNIX)
		return;
	to->local_port = sk->__sk_common.skc_num;
	to->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (sk->__sk_common.skc_family == SONDE_AF_INET) {
		local[2] = remote[2] = bpf_htonl(0xffff);
		local[3] = sk->__sk_common.skc_rcv_saddr;
		remote[3] = sk->__sk_common.skc_daddr;
		return;
	}
	bpf_probe_read_kernel(local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	bpf_probe_read_kernel(remote, 16, &sk->__sk_common.skc_v6_daddr);
}

/* The id of the other end of an AF_UNIX pair, when that has been used before. */
static __always_inline __u64 socket__peer(struct sock *sk)
{
	struct unix_sock *local = bpf_skc_to_unix_sock(sk);
	struct sonde_socket *socket;

	if (!local || !local->peer)
		return 0;
	socket = bpf_sk_storage_get(&sockets, local->peer, 0, 0);
	return socket ? socket->id : 0;
}

/* Entries are taken in turn; one that is still held is passed by, a few times. */
static __always_inline __u32 verdict__claim(__u64 id)
{
	__u32 index = (id * 8 + (id >> 48)) & (SONDE_SOCKET_VERDICTS - 1);

	for (int i = 0; i < 8; i++) {
		struct sonde_socket_verdict *verdict =
			bpf_map_lookup_elem(&socket_verdicts, &index);

		if (verdict && __sync_val_compare_and_swap(&verdict->socket, 0, id) == 0)
			return index;
		index = (index + 1) & (SONDE_SOCKET_VERDICTS - 1);
	}
	return index;
}

/* A number that no other socket or stream has had. */
static __always_inline __u64 socket__new_id(struct sonde_socket_row *row)
{
	return (__u64)bpf_get_smp_processor_id() << 48 | (__sync_fetch_and_add(&row->ids, 1) + 1);
}

/* The first record of a socket. Without room in the ring it stays unannounced, and the next call
 * tries again. */
static __always_inline bool socket__announce(struct sock *sk, struct sonde_socket *socket,
					     const struct socket_place *place, int transport,
					     __u32 role, __u32 tgid, __u32 slot)
{
	struct sonde_socket_opened *to = socket__reserve(SONDE_KIND_SOCKET_OPENED, sizeof(*to));
	struct sonde_socket_row *row;
	__u64 id;

	if (!to)
		return false;
	row = socket__row();
	if (!row) {
		bpf_ringbuf_discard(to, BPF_RB_NO_WAKEUP);
		return false;
	}
	id = socket__new_id(row);
	if (!__sync_bool_compare_and_swap(&socket->id, 0, id)) {
		bpf_ringbuf_discard(to, BPF_RB_NO_WAKEUP);
		return true;
	}
	socket->verdict = verdict__claim(id);
	to->socket = id;
	to->position[0] = place->origin[0];
	to->position[1] = place->origin[1];
	to->verdict = socket->verdict;
	to->tgid = tgid;
	to->slot = slot;
	to->generation = service__generation(slot);
	socket__addresses(to, sk, transport);
	to->role = role;
	to->transport = transport;
	to->from_start = place->from_start;
	to->padding = 0;
	to->peer = transport == SONDE_SOCKET_UNIX ? socket__peer(sk) : 0;
	socket__submit(to);
	return true;
}
