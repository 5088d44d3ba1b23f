/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The plaintext of a connection as a stream of the tap's: announced, and linked with its socket. */
#pragma once

#include "lib/socket_report.h"
#include "lib/tls_thread.h"

#define TLS_STREAMS 16384

SONDE_STATIC_ASSERT(sizeof(struct socket_order) <= sizeof(((struct sonde_tls_thread *)0)->order),
		    "fits its place");

/* Until the library frees the connection or its socket is destroyed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TLS_STREAMS);
	__type(key, struct sonde_tls_key);
	__type(value, struct sonde_tls_stream);
} tls_streams SEC(".maps");

/* By the address of the socket, to find what ends with it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TLS_STREAMS);
	__type(key, __u64);
	__type(value, struct sonde_tls_key);
} tls_over SEC(".maps");

/* Where the bytes of a call lie: its program has noted it. */
static __always_inline enum socket_layout call__arguments(struct task_struct *task, __u64 *second,
							  __u64 *third)
{
	struct sonde_tls_thread *thread = tls__thread(task, 0);

	if (!thread || !thread->base)
		return LAYOUT_NONE;
	*second = thread->base;
	return LAYOUT_RUN;
}

/* A stream that nothing is known of yet but, perhaps, its socket. */
static __always_inline struct sonde_tls_stream *
stream__begin(struct sonde_tls_thread *thread, const struct sonde_tls_key *key,
	      const struct sonde_tls_under *under, __u16 state)
{
	struct sonde_tls_stream *fresh = &thread->fresh;

	__builtin_memset(fresh, 0, sizeof(*fresh));
	fresh->socket.state = state;
	if (under) {
		fresh->over = under->id;
		fresh->address = under->address;
	}
	if (bpf_map_update_elem(&tls_streams, key, fresh, BPF_ANY))
		return NULL;
	if (fresh->address)
		bpf_map_update_elem(&tls_over, &fresh->address, key, BPF_ANY);
	return bpf_map_lookup_elem(&tls_streams, key);
}

/* Announces the stream, or tells again of one whose socket has become known. */
static __always_inline bool stream__announce(struct sonde_tls_stream *stream, __u32 tgid,
					     __u32 slot)
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
	if (!stream->socket.id) {
		id = socket__new_id(row);
		stream->socket.verdict = verdict__claim(id);
		stream->socket.id = id;
	}
	to->socket = stream->socket.id;
	to->position[0] = stream->socket.count[0];
	to->position[1] = stream->socket.count[1];
	to->verdict = stream->socket.verdict;
	to->tgid = tgid;
	to->slot = slot;
	to->generation = service__generation(slot);
	under__describe(to, stream->address);
	to->transport = SONDE_SOCKET_TLS;
	to->from_start = !!(stream->socket.state & SONDE_SOCKET_FRESH);
	to->padding = 0;
	to->peer = stream->over;
	socket__submit(to);
	return true;
}

/* Whether the stream lies over this socket. It began before the tap had announced it, perhaps: then by
 * the address alone. */
static __always_inline bool stream__lies_over(const struct sonde_tls_stream *stream,
					    const struct sonde_tls_under *under)
{
	return !stream->over || stream->over == under->id;
}

/* One that is known by its socket alone. */
static __always_inline struct sonde_tls_stream *
stream__of_socket(struct sonde_tls_thread *thread, struct sonde_tls_key *key,
	     const struct sonde_tls_under *under)
{
	struct sonde_tls_stream *stream;

	if (!under->address)
		return NULL;
	key->connection = under->address;
	stream = bpf_map_lookup_elem(&tls_streams, key);
	if (stream && stream__lies_over(stream, under))
		return stream;
	return stream__begin(thread, key, under, SONDE_SOCKET_OLDER);
}

/* The socket may have ciphertext: the agent ignores it, or has not decided. */
static __always_inline bool under__may_be_tls(const struct sonde_tls_under *under)
{
	__u32 index = under->verdict & (SONDE_SOCKET_VERDICTS - 1);
	struct sonde_socket_verdict *verdict = bpf_map_lookup_elem(&socket_verdicts, &index);
	__u64 wish;

	if (!under->id)
		return false;
	if (!verdict || verdict->socket != under->id)
		return true;
	wish = *(volatile __u64 *)&verdict->wish[SONDE_SOCKET_RECEIVED];
	return !wish || wish == sonde_socket_first_wish() || wish == sonde_socket_look_wish() ||
	       (wish >> 32 & 7) == SONDE_SOCKET_IGNORE;
}

/* Whether the socket says more of what it lies over than was known: nothing, or an address alone, where the
 * tap had not announced the socket yet. */
static __always_inline bool stream__learns(const struct sonde_tls_stream *stream,
					   const struct sonde_tls_under *under)
{
	return !stream->address ||
	       (!stream->over && under->id && stream->address == under->address);
}

/* A stream that was joined by its socket alone has the socket's address for its connection, until it is
 * known which that is. */
static __always_inline struct sonde_tls_stream *
stream__adopt(struct sonde_tls_thread *thread, const struct sonde_tls_key *key,
	      const struct sonde_tls_under *under)
{
	struct sonde_tls_key *joined = (struct sonde_tls_key *)thread->words;
	struct sonde_tls_stream *stream;

	joined->connection = under->address;
	joined->tgid = key->tgid;
	joined->padding = 0;
	if (!under->address || key->connection == under->address)
		return NULL;
	stream = bpf_map_lookup_elem(&tls_streams, joined);
	if (!stream || !stream__lies_over(stream, under))
		return NULL;
	thread->fresh = *stream;
	bpf_map_delete_elem(&tls_streams, joined);
	if (bpf_map_update_elem(&tls_streams, key, &thread->fresh, BPF_ANY))
		return NULL;
	bpf_map_update_elem(&tls_over, &thread->fresh.address, key, BPF_ANY);
	return bpf_map_lookup_elem(&tls_streams, key);
}

/* The stream of a connection, linked with its socket as far as that is known, and announced.
 * `within`: the socket that was used within the call. A library that is fed from memory uses none:
 * what was received before is what it has read. */
static __always_inline struct sonde_tls_stream *
stream__find(struct sonde_tls_thread *thread, const struct sonde_tls_key *key,
	     const struct sonde_tls_under *within, __u32 function)
{
	struct sonde_tls_stream *stream = bpf_map_lookup_elem(&tls_streams, key);
	const struct sonde_tls_under *under = within;
	__u16 state = function == SONDE_TLS_HANDSHAKE ? SONDE_SOCKET_FRESH : SONDE_SOCKET_OLDER;

	if (!under && function == SONDE_TLS_READ && thread->received &&
	    under__may_be_tls(&thread->under[SONDE_SOCKET_RECEIVED]))
		under = &thread->under[SONDE_SOCKET_RECEIVED];
	if (!stream && under)
		stream = stream__adopt(thread, key, under);
	if (!stream)
		return stream__begin(thread, key, under, state);
	if (under && stream__learns(stream, under)) {
		stream->over = under->id;
		stream->address = under->address;
		bpf_map_update_elem(&tls_over, &stream->address, key, BPF_ANY);
		/* It is announced with what is known now, again if need be. */
		if (stream->socket.id)
			stream__announce(stream, key->tgid, service__slot(key->tgid));
		return stream;
	}
	if (within && stream->address &&
	    (stream->address != within->address || stream->over != within->id))
		return stream__begin(thread, key, within, state);
	return stream;
}

/* The stream ends in a direction: nothing more of it will come. */
static __always_inline int stream__ended(struct sonde_tls_stream *stream, __u32 tgid, int direction)
{
	struct socket_order call = {.direction = direction, .flags = SONDE_SOCKET_END};

	if (!stream->socket.id ||
	    (wish_of(&stream->socket, direction) >> 32 & 7) == SONDE_SOCKET_IGNORE)
		return 0;
	call.socket = stream->socket.id;
	call.position = stream->socket.count[direction & 1];
	call.tgid = tgid;
	call.slot = service__slot(tgid);
	call.generation = service__generation(call.slot);
	call__cover(&call, 0);
	return 0;
}

static __always_inline int tls__ended(__u64 connection, __u32 tgid, int direction)
{
	struct sonde_tls_key key = {.connection = connection, .tgid = tgid};
	struct sonde_tls_stream *stream = bpf_map_lookup_elem(&tls_streams, &key);

	return stream ? stream__ended(stream, tgid, direction) : 0;
}

/* `bytes` have passed in `direction`; they lie at thread->base. */
static __always_inline int stream__passed(struct sonde_tls_thread *thread,
					  struct sonde_tls_stream *stream, __u32 tgid,
					  int direction, __u32 bytes)
{
	struct socket_order *call = (struct socket_order *)thread->order;
	__u64 wish;

	SOCKET_COUNT(calls[direction & 1]);
	__builtin_memset(call, 0, sizeof(*call));
	call->direction = direction;
	call->flags = SONDE_SOCKET_STARTS_CALL;
	call->tgid = tgid;
	call->slot = service__slot(tgid);
	if (!stream->socket.id && !stream__announce(stream, tgid, call->slot)) {
		stream->socket.state = SONDE_SOCKET_OLDER;
		return 0;
	}
	wish = wish_of(&stream->socket, direction);
	call->socket = stream->socket.id;
	call->generation = service__generation(call->slot);
	call->position = stream->socket.count[direction & 1];
	stream->socket.count[direction & 1] += bytes;
	call->left = bytes;
	if ((wish >> 32 & 7) == SONDE_SOCKET_IGNORE)
		return 0;
	report(&stream->socket, call, wish);
	return 0;
}
