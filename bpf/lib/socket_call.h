/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One send or receive in the caller's memory: where its bytes lie, and records of them. */
#pragma once

#include "lib/socket_head.h"
#include "lib/socket_ring.h"

#define SONDE_PF_KTHREAD   0x00200000
#define SONDE_PF_IO_WORKER 0x00000010
#define SONDE_PF_EXITING   0x00000004

#define SOCKET_PIECE 16

/* Bytes in which the line of a size is read. */
struct socket_piece {
	__u32 used;
	__u32 length;
	__u8 bytes[SOCKET_PIECE];
};

/* What is wanted of a call. */
struct socket_order {
	__u64 socket;
	__u32 position;
	__u32 left; /* bytes of the call from `position` on */
	__u32 pass; /* bytes to pass by before the next capture */
	__u32 head; /* bytes to capture before the rest is passed by */
	__u32 tail;
	__u32 most; /* `head` of what is not followed */
	struct sonde_socket_chunks chunks;
	__u32 tgid;
	__u16 slot;
	__u16 generation;
	__u8 direction;
	__u8 flags; /* of the next record */
	__u8 begins; /* at its first byte, where the head of a message may be whose chunks are followed */
	__u8 padding;
};

/* What is left of a call, advanced chunk by chunk. */
struct socket_call {
	union {
		struct socket_order order;
		struct socket_order;
	};
	/* The current run of bytes in the caller's memory and its length: a struct iovec. The stack of
	 * a program and all it calls has 512 bytes. */
	__u64 base;
	__u64 run;
	/* The next struct iovec, and how many are left: as in struct user_msghdr. */
	__u64 iov;
	__u64 iovs;
	struct socket_piece piece;
};

/* In socket_chunks.h. */
static __always_inline __u32 chunks__found(struct socket_order *call, __u32 head);
static __always_inline __u32 chunks__most(const struct socket_call *call);

static __always_inline void call__describe(struct socket_order *call, struct sonde_socket_bytes *to,
					   __u32 covered, __u32 captured)
{
	to->socket = call->socket;
	to->position = call->position;
	to->covered = covered;
	to->captured = captured;
	to->direction = call->direction;
	to->flags = call->flags;
	to->tgid = call->tgid;
	to->slot = call->slot;
	to->generation = call->generation;
	to->unused = 0;
	call->flags &= ~SONDE_SOCKET_STARTS_CALL;
}

/* A record without bytes. */
static __always_inline void call__cover(struct socket_order *call, __u32 covered)
{
	struct sonde_socket_bytes *to = socket__reserve(SONDE_KIND_SOCKET_BYTES, sizeof(*to));

	if (!to)
		return;
	call__describe(call, to, covered, 0);
	socket__submit(to);
}

/* A record with `length` bytes from `base`, at most `room`, a constant: a ring reserves constant
 * sizes only. Bytes that cannot be read (the page went away) are covered, not captured. Where a
 * message begins whose body is to be followed, its bytes end with the head: those are returned. So
 * they do where a message begins in it that is not whole: `begins` stays. */
static __always_inline __u32 call__copy(struct socket_order *call, __u64 base, __u32 covered,
					__u64 length, const __u32 room)
{
	struct sonde_socket_bytes *to =
		socket__reserve(SONDE_KIND_SOCKET_BYTES, sizeof(*to) + room);
	__u32 head = 0;

	if (!to) {
		call->begins = 0;
		return covered;
	}
	/* The compiler knows that it is, the verifier must see it. */
	barrier_var(length);
	if (length > room)
		length = room;
	call__describe(call, to, covered, length);
	/* What was found in the record before this one says nothing about it. */
	if (call->begins)
		call->chunks.digits = 0;
	/* From here on numbers are read from the record again: the stack has no place for them. */
	if (bpf_probe_read_user(to + 1, length, (void *)base)) {
		to->captured = 0;
		to->flags |= SONDE_SOCKET_UNREADABLE;
		SOCKET_COUNT(faults);
	} else if (call->begins && to->captured >= HEAD_LEAST) {
		call->chunks.length = to->captured;
		call->chunks.digits = call->left == to->captured ? HEAD_WHOLE : 0;
		if (room == 80)
			head = socket_head_80(&call->chunks, (struct head_80 *)(to + 1));
		else if (room == 464)
			head = socket_head_464(&call->chunks, (struct head_464 *)(to + 1));
		else
			head = socket_head_2000(&call->chunks, (struct head_2000 *)(to + 1));
	}
	if (head) {
		call->begins = 0;
		to->captured = head;
		to->covered = head + chunks__found(call, head);
	} else if (call->begins && (head = head__next(&call->chunks))) {
		to->captured = to->covered = head;
	} else {
		call->begins = 0;
		head = to->covered;
	}
	socket__submit(to);
	return head;
}

/* What the record covers. Global, as others below: verified once, and not in every state of its
 * caller. */
__noinline __u32 socket_capture(struct socket_order *call, __u64 base, __u32 covered, __u32 length)
{
	if (!call)
		return 0;
	if (length <= 80)
		return call__copy(call, base, covered, length, 80);
	if (length <= 464)
		return call__copy(call, base, covered, length, 464);
	if (length <= 2000)
		return call__copy(call, base, covered, length, 2000);
	if (length <= 4096)
		return call__copy(call, base, covered, length, 4096);
	if (length <= 8192)
		return call__copy(call, base, covered, length, 8192);
	return call__copy(call, base, covered, length, SONDE_SOCKET_MAX_CHUNK);
}

static __always_inline void call__advance(struct socket_call *call, __u64 bytes)
{
	call->base += bytes;
	call->run -= bytes;
	call->left -= bytes;
	call->position += bytes;
}

#include "lib/socket_chunks.h"

/* One step: the next iovec, a run passed by, or a record. Returns 1 at the end of the call. */
static long call__step(__u32 index, struct socket_call *call)
{
	__u64 length;
	__u32 covered, took, ended;

	if (!call->left)
		return 1;
	if (!call->run) {
		if (!call->iovs ||
		    bpf_probe_read_user(&call->base, 16, (void *)call->iov)) {
			call->flags |= SONDE_SOCKET_UNREADABLE;
			call__cover(&call->order, call->left);
			return 1;
		}
		call->iov += 16;
		call->iovs--;
		return 0;
	}
	length = call->run < call->left ? call->run : call->left;
	if (call->pass) {
		length = length < call->pass ? length : call->pass;
		call->pass -= length;
		call__advance(call, length);
		return 0;
	}
	if (!call->head && chunks__follow(&call->order)) {
		ended = socket_follow(call);
		/* Which the compiler knows to be 0 or 1, and the verifier does not. */
		barrier_var(ended);
		return ended & 1;
	}
	if (!call->head) {
		/* The rest, or what lies before the tail, is covered by a record of its own. */
		covered = call->tail && call->left > call->tail ? call->left - call->tail
								 : call->left;
		if (!call->tail) {
			call__cover(&call->order, covered);
			return 1;
		}
		call->head = call->tail;
		call->tail = 0;
		if (covered == call->left)
			return 0;
		call__cover(&call->order, covered);
		call->pass = covered;
		return 0;
	}
	length = length < call->head ? length : call->head;
	length = length < SONDE_SOCKET_MAX_CHUNK ? length : SONDE_SOCKET_MAX_CHUNK;
	if (call->begins && length > HEAD_MOST)
		length = HEAD_MOST;
	covered = call->head > length || call->tail || call->begins ? length : call->left;
	took = socket_capture(&call->order, call->base, covered, length);
	if (chunks__follow(&call->order) || call->begins) {
		call->head = call->begins ? chunks__most(call) : 0;
		call__advance(call, took);
		return 0;
	}
	call->head -= length;
	if (covered != length)
		return 1;
	call__advance(call, length);
	return 0;
}

/* Two for each of 1,024 iovecs (UIO_MAXIOV), and those of the records and chunks. */
#define SOCKET_STEPS 4096

static __always_inline void call__report(struct socket_call *call)
{
	bpf_loop(SOCKET_STEPS, call__step, call, 0);
	chunks__leave(call);
}

enum socket_layout {
	LAYOUT_NONE, /* not known to have bytes: sendfile, io_uring, 32-bit calls, workers */
	LAYOUT_RUN,
	LAYOUT_IOVECS,
	LAYOUT_MESSAGE,
};

/* Second and third argument of the running call, and what they say of its bytes. Each object has its
 * own: of system calls (lib/socket_syscall.h) or of a library's (lib/tls_stream.h). */
static __always_inline enum socket_layout call__arguments(struct task_struct *task, __u64 *second,
							  __u64 *third);

/* Where the running call has its bytes; false where that is not known. */
static __always_inline bool call__locate(struct socket_call *call, struct task_struct *task)
{
	__u64 second, third;

	switch (call__arguments(task, &second, &third)) {
	case LAYOUT_RUN:
		call->base = second;
		call->run = call->left;
		return true;
	case LAYOUT_IOVECS:
		call->iov = second;
		call->iovs = third;
		return true;
	case LAYOUT_MESSAGE:
		/* struct user_msghdr: msg_iov and msg_iovlen follow the name and its length. */
		return !bpf_probe_read_user(&call->iov, 16, (void *)(second + 16));
	default:
		return false;
	}
}
