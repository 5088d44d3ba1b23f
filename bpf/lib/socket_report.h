/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records of a call, as far as the agent wants it. */
#pragma once

#include "lib/socket_call.h"
#include "lib/socket_state.h"

static __always_inline __u64 wish_of(struct sonde_socket *socket, int direction)
{
	__u32 index = socket->verdict & (SONDE_SOCKET_VERDICTS - 1);
	struct sonde_socket_verdict *verdict = bpf_map_lookup_elem(&socket_verdicts, &index);
	__u64 wish;

	if (!verdict || verdict->socket != socket->id)
		return sonde_socket_wish(SONDE_SOCKET_FULL, 0, 0, false, 0);
	wish = *(volatile __u64 *)&verdict->wish[direction & 1];
	return wish ? wish : sonde_socket_first_wish();
}

/* What is left of a turn's limit. Two threads that speak at once begin turns more often. */
static __always_inline __u32 rest_of_turn(struct sonde_socket *socket, __u32 limit, int direction,
					  __u32 bytes)
{
	__u64 captured;

	if (socket->turn != direction + 1) {
		socket->turn = direction + 1;
		socket->captured = 0;
	}
	captured = socket->captured;
	socket->captured = captured + bytes;
	if (captured + SONDE_SOCKET_TURN_LIMIT >= limit)
		return SONDE_SOCKET_TURN_LIMIT;
	return limit - captured;
}

/* What of the call is captured: `pass` bytes are not, then `head`, and `tail` at its end. */
static __always_inline bool choose(struct sonde_socket *socket, struct socket_order *call,
				   __u64 wish)
{
	__u32 mode = wish >> 32 & 7, until = wish, limit = (wish >> 48) * 16;

	if (!limit)
		limit = SONDE_SOCKET_HEAD_LIMIT;
	if (wish >> 36 & 1)
		limit = rest_of_turn(socket, limit, call->direction, call->left);
	if (wish >> 35 & 1) {
		/* Positions are modulo 2^32: what lies up to 2^31 behind has been passed. */
		__s32 ahead = until - call->position;

		if (ahead >= 0 && mode == SONDE_SOCKET_FULL && (wish >> 37 & 1) &&
		    !call->chunks.framing)
			chunks__join(call, ahead);
		if (ahead > 0 && (__u32)ahead > call->left)
			return false;
		if (!chunks__follow(call))
			call->pass = ahead > 0 ? ahead : 0;
		if (call->pass == call->left)
			call->pass = 0, mode = SONDE_SOCKET_SIZES;
	}
	if (mode == SONDE_SOCKET_FULL)
		call->most = SONDE_SOCKET_MAX_CALL, call->tail = SONDE_SOCKET_HEAD_TAIL;
	else if (mode != SONDE_SOCKET_SIZES)
		call->most = socket__spare(limit, call->left);
	if (mode == SONDE_SOCKET_HEAD_AND_TAIL)
		call->tail = (wish >> 40 & 0xff) * 16;
	call->head = call->most;
	return true;
}

/* The call's bytes pass unseen; data of a chunk may. */
static __always_inline void unseen(struct socket_order *order)
{
	struct sonde_socket_chunks *chunks = &order->chunks;

	if (chunks__in_data(chunks) && chunks->left >= order->left)
		chunks__pass(chunks, order->left);
	else
		chunks->framing = SONDE_CHUNKS_NONE;
}

/* Does at once what most calls are: bytes in one run that go into one record, or none to be captured.
 * How many are done; where a body begins in them that is to be followed the rest is left. */
__noinline __u32 socket_report_at_once(struct socket_order *order)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct {
		__u64 base;
		__u64 length;
	} run;
	enum socket_layout layout;

	if (!order)
		return 0;
	layout = order->head || order->pass ? call__arguments(task, &run.base, &run.length)
					    : LAYOUT_NONE;
	if (layout == LAYOUT_NONE) {
		if (order->head || order->pass) {
			SOCKET_COUNT(unreadable);
			order->flags |= SONDE_SOCKET_UNREADABLE;
		}
		unseen(order);
		call__cover(order, order->left);
		return order->left;
	}
	if (layout == LAYOUT_MESSAGE || order->pass || order->left > order->head ||
	    order->left > SONDE_SOCKET_MAX_CHUNK || chunks__follow(order))
		return 0;
	if (layout == LAYOUT_IOVECS && (bpf_probe_read_user(&run, sizeof(run), (void *)run.base) ||
					run.length < order->left))
		return 0;
	order->head = 0;
	order->pass = socket_capture(order, run.base, order->left, order->left);
	return order->pass;
}

/* Records of what is wanted of the call, some of which may be done. Verified once, whoever calls. */
__noinline int socket_report(struct socket_order *order)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct socket_call call = {};

	if (!order)
		return 0;
	call.order = *order;
	if (!call__locate(&call, task)) {
		SOCKET_COUNT(unreadable);
		call.flags |= SONDE_SOCKET_UNREADABLE;
		unseen(order);
		call__cover(&call.order, call.left);
		return 0;
	}
	if (chunks__follow(order) && !order->pass)
		chunks__begin(&call);
	call__report(&call);
	order->chunks = call.chunks;
	return 0;
}

static __always_inline void report(struct sonde_socket *socket, struct socket_order *order,
				   __u64 wish)
{
	struct sonde_socket_chunks *kept = &socket->chunks[order->direction & 1];
	__u32 end = order->position + order->left;
	bool chunks = wish >> 37 & 1;

	if (chunks)
		chunks__resume(order, kept);
	if (choose(socket, order, wish)) {
		order->begins = chunks && !chunks__follow(order) && !order->pass;
		if (socket_report_at_once(order) != order->left)
			socket_report(order);
	} else {
		unseen(order);
	}
	if (chunks)
		chunks__keep(order, kept, end);
}
