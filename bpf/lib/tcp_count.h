/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is counted of one TCP socket, and when: at its handshake, at a scrape, at its close. `cas`
 * is a constant everywhere: whether programs of this kernel can compare and swap. */
#pragma once

#include "lib/tcp_owner.h"

const volatile __u64 bounds[SONDE_BUCKETS] = {};
/* Length of a window with at most one round-trip observation a connection. */
const volatile __u64 rtt_window_ns = 15000000000ull;

/* Connections of each service now; the agent clears it before each run of the iterator. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SONDE_SLOTS);
	__type(key, __u32);
	__type(value, struct sonde_tcp_live);
} tcp_live SEC(".maps");

/* A server's connection is counted when its owner is certain (who receives or closes), at a scrape,
 * or at the latest when it closes: the process that listens is often only the one that started the
 * service (socket activation). */
static __always_inline void settle(struct sonde_tcp_socket *socket, struct sonde_tcp_row *row,
				   const bool cas)
{
	if (socket->opened != SONDE_TCP_PENDING)
		return;
	if (!cas)
		socket->opened = SONDE_TCP_COUNTED;
	else if (__sync_val_compare_and_swap(&socket->opened, SONDE_TCP_PENDING,
					     SONDE_TCP_COUNTED) != SONDE_TCP_PENDING)
		return;
	COUNT(row->opened[SONDE_TCP_SERVER], 1);
	if (!socket->tgid)
		COUNT(row->unowned, 1);
}

static __always_inline void established(struct sonde_tcp_socket *socket)
{
	struct sonde_tcp_row *row;

	if (socket->role == SONDE_TCP_SERVER) {
		socket->opened = SONDE_TCP_PENDING;
		return;
	}
	row = row_of(owner_slot(socket));
	if (socket->role != SONDE_TCP_CLIENT || !row)
		return;
	socket->opened = SONDE_TCP_COUNTED;
	COUNT(row->opened[SONDE_TCP_CLIENT], 1);
	if (socket->connect_ns) {
		__u64 took = bpf_ktime_get_ns() - socket->connect_ns;

		COUNT(row->connect.buckets[sonde_bucket(bounds, took)], 1);
		COUNT(row->connect.sum, took);
	}
}

static __always_inline void account(struct sonde_tcp_socket *socket, const struct tcp_figures *now,
				    struct sonde_tcp_row *row, const bool cas, const int tries)
{
	__u64 sent = tcp__take(&socket->sent, tcp__payload_sent(now, socket->role), cas, tries);
	__u64 received = tcp__take(&socket->received, tcp__payload_received(now), cas, tries);
	__u32 again = tcp__take32(&socket->retransmits, now->retransmits, cas, tries);

	if (sent)
		COUNT(row->sent, sent);
	if (received)
		COUNT(row->received, received);
	if (again)
		COUNT(row->retransmits, again);
}

static __always_inline void observe_rtt(struct sonde_tcp_socket *socket,
					const struct tcp_figures *now, struct sonde_tcp_row *row)
{
	__u64 ns = (__u64)(now->srtt_us8 >> 3) * 1000;

	COUNT(row->rtt.buckets[sonde_bucket(bounds, ns)], 1);
	COUNT(row->rtt.sum, ns);
	socket->rtt_us8 = now->srtt_us8;
	socket->rtt_acked = now->acked;
}

/* A connect that ended without an answer counts nowhere when it was given up here: no packet says
 * why. */
static __always_inline void connect_failed(const struct tcp_figures *now, struct sonde_tcp_row *row)
{
	switch (now->error) {
	case 111: /* ECONNREFUSED */
		COUNT(row->connect_failures[SONDE_TCP_REFUSED], 1);
		break;
	case 110: /* ETIMEDOUT */
		COUNT(row->connect_failures[SONDE_TCP_TIMED_OUT], 1);
		break;
	case 101: /* ENETUNREACH */
	case 113: /* EHOSTUNREACH */
		COUNT(row->connect_failures[SONDE_TCP_UNREACHABLE], 1);
		break;
	}
}

static __always_inline void closes(struct sock *sk, struct sonde_tcp_socket *socket, __u32 state,
				   const bool cas)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct sonde_tcp_row *row = row_of(owner_slot(socket));
	struct tcp_figures now;

	if (!tp || !row)
		return;
	if (socket->role == SONDE_TCP_LISTENER)
		stops_listening(sk);
	if (socket->role < SONDE_TCP_ROLES) {
		tcp__read(&now, sk, tp, true, false);
		now.state = state;
		now.busy = false;
		account(socket, &now, row, cas, 4);
		settle(socket, row, cas);
		if (socket->opened == SONDE_TCP_COUNTED) {
			__u32 why = tcp__close_reason(&now, socket->reset);

			COUNT(row->closed[socket->role & 1][why], 1);
			if (now.srtt_us8 && now.srtt_us8 != socket->rtt_us8)
				observe_rtt(socket, &now, row);
		} else if (socket->role == SONDE_TCP_CLIENT) {
			connect_failed(&now, row);
		}
	}
	socket->opened = SONDE_TCP_NOT_OPEN;
	socket->role = SONDE_TCP_NO_ROLE;
}

/* The task that holds the socket for a system call of its own; 0 in a soft interrupt, where the
 * current task is anybody, and for kernel threads, which act for others. */
static __always_inline __u32 acting_tgid(struct sock *sk)
{
	struct task_struct *task;

	if (!sk->sk_lock.owned)
		return 0;
	task = (struct task_struct *)bpf_get_current_task();
	if (BPF_CORE_READ(task, flags) & SONDE_PF_KTHREAD)
		return 0;
	return bpf_get_current_pid_tgid() >> 32;
}

static __always_inline void confirm(struct sock *sk, struct sonde_tcp_socket *socket,
				    const bool cas)
{
	__u32 tgid = acting_tgid(sk);
	struct sonde_tcp_row *row;

	if (!tgid)
		return;
	if (socket->tgid != tgid)
		own(socket, tgid);
	row = row_of(owner_slot(socket));
	if (row)
		settle(socket, row, cas);
}

static __always_inline void look_at(struct sonde_tcp_socket *socket, const struct tcp_figures *now,
				    const bool cas)
{
	__u32 slot = owner_slot(socket), role = socket->role;
	__u32 window = bpf_ktime_get_ns() / rtt_window_ns + 1;
	struct sonde_tcp_live *live = bpf_map_lookup_elem(&tcp_live, &slot);
	struct sonde_tcp_row *row = row_of(slot);

	if (!live || !row || role == SONDE_TCP_NO_ROLE || now->state == BPF_TCP_CLOSE)
		return;
	live->count[role != SONDE_TCP_CLIENT][now->state & (SONDE_TCP_STATES - 1)]++;
	if (role == SONDE_TCP_LISTENER)
		return;
	settle(socket, row, cas);
	account(socket, now, row, cas, 1);
	if (socket->opened == SONDE_TCP_COUNTED && now->srtt_us8 && socket->rtt_window != window &&
	    socket->rtt_acked != (__u32)now->acked) {
		socket->rtt_window = window;
		observe_rtt(socket, now, row);
	}
}
