/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose socket it is: one record a TCP socket, in its storage or in a hash by address, and who
 * listens where. */
#pragma once

#include "lib/facts.h"
#include "lib/rows.h"
#include "lib/service.h"
#include "lib/tcp_socket.h"

/* Accepted sockets get their storage by BPF_F_CLONE. */
const volatile bool clones = true;
/* Counters of each service; 176 KiB a CPU. */
ROWS(tcp_rows, SONDE_SLOTS, struct sonde_tcp_row);
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
	struct sonde_tcp_socket first = {.role = SONDE_TCP_LISTENER, .state = BPF_TCP_LISTEN};
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
	struct sonde_tcp_socket first = {.role = SONDE_TCP_CLIENT, .state = BPF_TCP_SYN_SENT};

	own(&first, bpf_get_current_pid_tgid() >> 32);
	first.connect_ns = bpf_ktime_get_ns();
	socket__set(sk, &first, hash);
}

/* A listener's child: its clone still says what the listener is. */
static __always_inline void accepts(struct sock *sk, const bool hash)
{
	struct sonde_tcp_socket first = {.role = SONDE_TCP_SERVER, .state = BPF_TCP_SYN_RECV};
	struct sonde_tcp_socket *inherited = NULL;

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
