/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel knows of one TCP connection, and how much of it is payload. Read either through
 * the types the verifier knows (direct) or by address. */
#pragma once

#include "sonde/tcp.h"

#define SONDE_AF_INET	   2
#define SONDE_AF_INET6	   10
#define SONDE_PF_KTHREAD   0x00200000
#define SONDE_ECONNABORTED 103
#define SONDE_ECONNRESET   104
#define SONDE_EPIPE	   32

/* `direct` and the other flags are constants at every call: one of the two branches is no code. */
#define FIELD(pointer, field) (direct ? (pointer)->field : BPF_CORE_READ(pointer, field))

struct tcp_figures {
	__u64 acked;
	__u64 received;
	__u32 retransmits;
	__u32 srtt_us8;
	__u32 unacknowledged; /* first byte that is */
	__u32 write_seq;
	__u32 state;
	__u32 error;
	bool fin_received;
	bool orphan;
	bool busy; /* somebody may be changing all this right now */
};

static __always_inline bool tcp__is(struct sock *sk, const bool direct)
{
	__u16 family = FIELD(sk, __sk_common.skc_family);

	if (family != SONDE_AF_INET && family != SONDE_AF_INET6)
		return false;
	return FIELD(sk, sk_protocol) == IPPROTO_TCP;
}

/* True while a task or a soft interrupt holds the socket; without that knowledge (PREEMPT_RT)
 * always true. */
static __always_inline bool tcp__busy(struct sock *sk, const bool direct)
{
	if (FIELD(sk, sk_lock.owned))
		return true;
	if (!bpf_core_field_exists(sk->sk_lock.slock.rlock.raw_lock.val))
		return true;
	return FIELD(sk, sk_lock.slock.rlock.raw_lock.val.counter) != 0;
}

/* The order matters where the socket is not held: a count that already has the peer's FIN in it is
 * seen together with `busy` or with the flag that says so. `ordered` asks for a barrier, which BPF
 * has from 5.12 on. */
static __always_inline void tcp__read(struct tcp_figures *to, struct sock *sk, struct tcp_sock *tp,
				      const bool direct, const bool ordered)
{
	__u64 fence = 0, flags;

	to->acked = FIELD(tp, bytes_acked);
	to->received = FIELD(tp, bytes_received);
	if (ordered)
		__sync_val_compare_and_swap(&fence, 0, 1);
	to->busy = tcp__busy(sk, direct);
	if (ordered)
		__sync_val_compare_and_swap(&fence, 1, 2);
	flags = FIELD(sk, __sk_common.skc_flags);
	to->orphan = flags & (1ul << SOCK_DEAD);
	to->fin_received = flags & (1ul << SOCK_DONE);
	to->state = FIELD(sk, __sk_common.skc_state);
	to->unacknowledged = FIELD(tp, snd_una);
	to->write_seq = FIELD(tp, write_seq);
	to->retransmits = FIELD(tp, total_retrans);
	to->srtt_us8 = FIELD(tp, srtt_us);
	to->error = FIELD(sk, sk_err);
}

static __always_inline bool tcp__has_sent_fin(__u32 state)
{
	return state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2 ||
	       state == BPF_TCP_CLOSING || state == BPF_TCP_LAST_ACK || state == BPF_TCP_TIME_WAIT;
}

/* bytes_acked has the SYN of the side that connected, and the FIN once it is acknowledged. */
static __always_inline __u64 tcp__payload_sent(const struct tcp_figures *now, __u32 role)
{
	__u64 controls = role == SONDE_TCP_CLIENT;

	if (tcp__has_sent_fin(now->state) && (now->busy || now->unacknowledged == now->write_seq))
		controls++;
	return now->acked > controls ? now->acked - controls : 0;
}

/* bytes_received has the peer's FIN. While somebody works on the socket its last byte may be one.
 */
static __always_inline __u64 tcp__payload_received(const struct tcp_figures *now)
{
	__u64 controls = now->fin_received || now->busy;

	return now->received > controls ? now->received - controls : 0;
}

/* How a connection that leaves `now->state` for CLOSE ended; `reset` was seen before. A close with
 * unread data or with SO_LINGER 0 closes first and sends its RST afterwards, so it is told by the
 * state it left: an orderly close passes only through these. */
static __always_inline __u32 tcp__close_reason(const struct tcp_figures *now, bool reset_received)
{
	bool all_acked = now->unacknowledged == now->write_seq;

	if (reset_received)
		return SONDE_TCP_RESET;
	if ((now->state == BPF_TCP_LAST_ACK || now->state == BPF_TCP_CLOSING) && all_acked)
		return SONDE_TCP_FIN;
	if (now->state == BPF_TCP_FIN_WAIT2 && (now->fin_received || now->orphan))
		return SONDE_TCP_FIN;
	if (now->state == BPF_TCP_TIME_WAIT)
		return SONDE_TCP_FIN;
	/* tcp_write_err() passes a soft error on in place of ETIMEDOUT. */
	if (now->error && now->error != SONDE_ECONNABORTED && now->error != SONDE_ECONNRESET &&
	    now->error != SONDE_EPIPE)
		return SONDE_TCP_TIMEOUT;
	return SONDE_TCP_RESET;
}

/* Takes what `now` has beyond the accounted part, so that the iterator and the close never take the
 * same byte. Kernels before 5.12 have no compare-and-swap: there the two can take one connection's
 * last bytes twice when they meet within a few instructions. */
static __always_inline __u64 tcp__take(__u64 *accounted, __u64 now, const bool cas, const int tries)
{
	for (int i = 0; i < tries; i++) {
		__u64 old = *(volatile __u64 *)accounted;

		if (now <= old)
			return 0;
		if (!cas) {
			*accounted = now;
			return now - old;
		}
		if (__sync_val_compare_and_swap(accounted, old, now) == old)
			return now - old;
	}
	return 0;
}

static __always_inline __u32 tcp__take32(__u32 *accounted, __u32 now, const bool cas,
					 const int tries)
{
	for (int i = 0; i < tries; i++) {
		__u32 old = *(volatile __u32 *)accounted;

		if ((__s32)(now - old) <= 0)
			return 0;
		if (!cas) {
			*accounted = now;
			return now - old;
		}
		if (__sync_val_compare_and_swap(accounted, old, now) == old)
			return now - old;
	}
	return 0;
}

/* The address a socket is bound to: its own when `any` is 0; 1 the IPv4 wildcard; 2 the IPv6 one.
 */
static __always_inline void tcp__address(struct sonde_tcp_address *to, struct sock *sk, int any)
{
	__u32 *words = (__u32 *)to->address;
	bool mapped = BPF_CORE_READ(sk, __sk_common.skc_family) == SONDE_AF_INET;

	__builtin_memset(to, 0, sizeof(*to));
	to->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	to->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	if (any == 2)
		return;
	if (any == 1 || mapped) {
		words[2] = bpf_htonl(0xffff);
		if (any == 0)
			words[3] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		return;
	}
	BPF_CORE_READ_INTO(&to->address, sk, __sk_common.skc_v6_rcv_saddr);
}
