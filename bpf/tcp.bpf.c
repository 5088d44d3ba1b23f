// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TCP of every service: connections opened and closed, connect latency, round trips, payload bytes,
 * retransmits, resets and drops. Whose socket it is stands in the socket's own storage; kernels
 * whose tracing programs have none of it use a hash by address and the second half of the programs
 * below. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lib/facts.h"
#include "lib/rows.h"
#include "lib/service.h"
#include "lib/tcp_socket.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 bounds[SONDE_BUCKETS] = {};
/* Length of a window with at most one round-trip observation a connection. */
const volatile __u64 rtt_window_ns = 15000000000ull;
/* Accepted sockets get their storage by BPF_F_CLONE. */
const volatile bool clones = true;
/* kfree_skb reasons that are no drops (consumed, not specified). */
const volatile bool ignored_reason[SONDE_TCP_DROP_REASONS] = {};

/* Counters of each service; 176 KiB a CPU. */
ROWS(tcp_rows, SONDE_SLOTS, struct sonde_tcp_row);
/* Drops by the kernel's reason, a row a CPU. */
ROWS(tcp_drop_rows, 1, struct sonde_tcp_drops);

/* Connections of each service now; the agent clears it before each run of the iterator. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SONDE_SLOTS);
	__type(key, __u32);
	__type(value, struct sonde_tcp_live);
} tcp_live SEC(".maps");

/* Every TCP socket that listened, connected or was accepted; freed with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct sonde_tcp_socket);
} tcp_sockets SEC(".maps");

/* The same by address, deleted when the socket is destroyed; size: tcp.hash_size. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct sonde_tcp_socket);
} tcp_sockets_hash SEC(".maps");

/* Who listens where: roles of connections found at start, owners where storage is not cloned.
 * Deleted when the listener closes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sonde_tcp_address);
	__type(value, struct sonde_tcp_listener);
} tcp_listeners SEC(".maps");

#define COUNT(counter, n) __sync_fetch_and_add(&(counter), (n))

static __always_inline struct sonde_tcp_row *row_of(__u32 slot)
{
	return rows__of_slot(&tcp_rows, bpf_get_smp_processor_id(), slot);
}

/* `hash` is a constant everywhere below: which of the two kinds of storage is used. */
static __always_inline struct sonde_tcp_socket *socket__find(struct sock *sk, const bool hash)
{
	__u64 key = (__u64)sk;

	return hash ? bpf_map_lookup_elem(&tcp_sockets_hash, &key)
		    : bpf_sk_storage_get(&tcp_sockets, sk, 0, 0);
}

static __always_inline struct sonde_tcp_socket *
socket__set(struct sock *sk, struct sonde_tcp_socket *first, const bool hash)
{
	__u64 key = (__u64)sk;
	struct sonde_tcp_socket *socket;

	if (hash) {
		bpf_map_update_elem(&tcp_sockets_hash, &key, first, BPF_ANY);
		socket = bpf_map_lookup_elem(&tcp_sockets_hash, &key);
	} else {
		socket = bpf_sk_storage_get(&tcp_sockets, sk, first, BPF_SK_STORAGE_GET_F_CREATE);
		if (socket)
			*socket = *first;
	}
	if (!socket) {
		struct sonde_tcp_row *row = row_of(first->slot);

		if (row)
			COUNT(row->unstored, 1);
	}
	return socket;
}

static __always_inline void own(struct sonde_tcp_socket *socket, __u32 tgid)
{
	__u32 slot = service__slot(tgid);

	socket->tgid = tgid;
	socket->slot = slot;
	socket->generation = service__generation(slot);
}

/* A process is named only once it listens or a little after its exec, so its slot is asked for each
 * time; what was remembered serves when the process is gone. The same slot with another generation
 * is somebody else's. */
static __always_inline __u32 owner_slot(struct sonde_tcp_socket *socket)
{
	__u32 slot = service__slot(socket->tgid);

	if (slot != SONDE_SLOT_OTHER && slot != socket->slot)
		own(socket, socket->tgid);
	return service__still(socket->slot, socket->generation);
}

static __always_inline void report_listening(struct sock *sk, __u32 tgid)
{
	struct sonde_tcp_listening *fact = facts__reserve(SONDE_KIND_LISTENING, sizeof(*fact));

	if (!fact)
		return;
	fact->tgid = tgid;
	fact->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	facts__submit(fact);
}

static __always_inline void listens(struct sock *sk, __u32 tgid, const bool hash)
{
	struct sonde_tcp_socket first = {.role = SONDE_TCP_LISTENER};
	struct sonde_tcp_listener listener = {.socket = (__u64)sk};
	struct sonde_tcp_address address;

	own(&first, tgid);
	listener.tgid = tgid;
	listener.slot = first.slot;
	listener.generation = first.generation;
	tcp__address(&address, sk, 0);
	bpf_map_update_elem(&tcp_listeners, &address, &listener, BPF_ANY);
	socket__set(sk, &first, hash);
	report_listening(sk, tgid);
}

static __always_inline void stops_listening(struct sock *sk)
{
	struct sonde_tcp_listener *listener;
	struct sonde_tcp_address address;

	tcp__address(&address, sk, 0);
	listener = bpf_map_lookup_elem(&tcp_listeners, &address);
	if (listener && listener->socket == (__u64)sk)
		bpf_map_delete_elem(&tcp_listeners, &address);
}

static __always_inline struct sonde_tcp_listener *listener_of(struct sock *sk)
{
	struct sonde_tcp_listener *listener;
	struct sonde_tcp_address address;

	tcp__address(&address, sk, 0);
	listener = bpf_map_lookup_elem(&tcp_listeners, &address);
	if (listener)
		return listener;
	tcp__address(&address, sk, 1);
	listener = bpf_map_lookup_elem(&tcp_listeners, &address);
	if (listener)
		return listener;
	tcp__address(&address, sk, 2);
	return bpf_map_lookup_elem(&tcp_listeners, &address);
}

static __always_inline void connects(struct sock *sk, const bool hash)
{
	struct sonde_tcp_socket first = {.role = SONDE_TCP_CLIENT};

	own(&first, bpf_get_current_pid_tgid() >> 32);
	first.connect_ns = bpf_ktime_get_ns();
	socket__set(sk, &first, hash);
}

/* A listener's child: its clone still says what the listener is. */
static __always_inline void accepts(struct sock *sk, const bool hash)
{
	struct sonde_tcp_socket first = {.role = SONDE_TCP_SERVER}, *inherited = NULL;

	if (!hash && clones)
		inherited = socket__find(sk, hash);
	if (inherited) {
		first.tgid = inherited->tgid;
		first.slot = inherited->slot;
		first.generation = inherited->generation;
	} else {
		struct sonde_tcp_listener *listener = listener_of(sk);

		if (listener) {
			first.tgid = listener->tgid;
			first.slot = listener->slot;
			first.generation = listener->generation;
		}
	}
	socket__set(sk, &first, hash);
}

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

		COUNT(row->connect.buckets[sonde_bucket((const __u64 *)bounds, took)], 1);
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

	COUNT(row->rtt.buckets[sonde_bucket((const __u64 *)bounds, ns)], 1);
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

static __always_inline int changed(struct sock *sk, int from, int to, const bool hash,
				   const bool cas)
{
	struct sonde_tcp_socket *socket;

	if (!tcp__is(sk, true))
		return 0;
	if (to == BPF_TCP_LISTEN) {
		listens(sk, bpf_get_current_pid_tgid() >> 32, hash);
		return 0;
	}
	if (to == BPF_TCP_SYN_SENT) {
		connects(sk, hash);
		return 0;
	}
	if (to == BPF_TCP_SYN_RECV) {
		if (from != BPF_TCP_SYN_SENT) /* else both sides connected at once */
			accepts(sk, hash);
		return 0;
	}
	socket = socket__find(sk, hash);
	if (!socket)
		return 0;
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

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int from, int to)
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
