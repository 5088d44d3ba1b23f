/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The socket tap: what passes through stream sockets, as records: bpf/socket.bpf.c and
 * agent/probes/socket.cpp. */
#pragma once

#include "sonde/abi.h"

#define SONDE_KIND_SOCKET_OPENED SONDE_KIND_FAMILY
#define SONDE_KIND_SOCKET_BYTES	 (SONDE_KIND_FAMILY + 1)
#define SONDE_KIND_SOCKET_CLOSED (SONDE_KIND_FAMILY + 2)

/* As the process that holds the socket sees it. */
enum sonde_socket_direction {
	SONDE_SOCKET_SENT = 0,
	SONDE_SOCKET_RECEIVED = 1,
	SONDE_SOCKET_DIRECTIONS = 2,
};

enum sonde_socket_transport {
	SONDE_SOCKET_TCP = 0,
	SONDE_SOCKET_MPTCP = 1,
	SONDE_SOCKET_UNIX = 2,
	SONDE_SOCKET_TLS = 3, /* the plaintext of a connection, as a library reads and writes it */
};

/* A hint: from who listens on the local port. Contents may know better. */
enum sonde_socket_role {
	SONDE_SOCKET_ROLE_UNKNOWN = 0,
	SONDE_SOCKET_ROLE_CLIENT = 1,
	SONDE_SOCKET_ROLE_SERVER = 2,
};

enum sonde_socket_mode {
	SONDE_SOCKET_HEAD = 0,		/* the first `limit` bytes of each call */
	SONDE_SOCKET_HEAD_AND_TAIL = 1, /* and its last `tail` bytes */
	SONDE_SOCKET_FULL = 2,		/* SONDE_SOCKET_MAX_CALL bytes of each call, and its end */
	SONDE_SOCKET_SIZES = 3,		/* records without bytes */
	SONDE_SOCKET_IGNORE = 4,	/* no records but the close */
	/* Added to a mode with a limit: it holds for all calls of one direction until the other one
	 * speaks; later calls of the turn give no more than SONDE_SOCKET_TURN_LIMIT bytes. */
	SONDE_SOCKET_PER_TURN = 8,
	/* Added: the stream is HTTP/1.x. Of a chunked body the probe follows the framing from the
	 * head on and captures its lines of sizes and trailers whatever the limit; of the body of a
	 * request with a length it captures nothing. Where it has not seen the head, `skip_until`
	 * with SONDE_SOCKET_FULL is the end of a chunk's data. */
	SONDE_SOCKET_CHUNKS = 16,
};

#define SONDE_SOCKET_TURN_LIMIT 464

/* What the agent wants of one direction: one 64-bit word, so that it changes at once.
 *   bits 0-31   skip_until: a position; calls that end before it give no record, the one that
 *               reaches it gives one, whose bytes begin there
 *   bits 32-34  enum sonde_socket_mode     bit 35  skip_until is valid   bit 36  per turn
 *   bit 37      chunks are followed        bits 40-47  tail / 16         bits 48-63  limit / 16
 */
SONDE_CONSTEXPR __u64 sonde_socket_wish(__u32 mode, __u32 limit, __u32 tail, bool skips,
					__u32 skip_until)
{
	return (__u64)skip_until | (__u64)(mode & 7) << 32 | (__u64)skips << 35 |
	       (__u64)!!(mode & SONDE_SOCKET_PER_TURN) << 36 |
	       (__u64)!!(mode & SONDE_SOCKET_CHUNKS) << 37 |
	       (__u64)((tail / 16) & 0xff) << 40 | (__u64)((limit / 16) & 0xffff) << 48;
}

#define SONDE_SOCKET_VERDICTS 32768

/* Bytes of one record at most, and of one call in all its records: clients write pipelines of
 * 10,000 commands at once. */
#define SONDE_SOCKET_MAX_CHUNK 16384
#define SONDE_SOCKET_MAX_CALL  (64 * SONDE_SOCKET_MAX_CHUNK)
/* Where nothing else is said, and of a socket of which nothing is known. */
#define SONDE_SOCKET_HEAD_LIMIT (16 * SONDE_SOCKET_MAX_CHUNK)
#define SONDE_SOCKET_HEAD_TAIL	4080

/* Of a socket of which nothing is known yet. */
SONDE_CONSTEXPR __u64 sonde_socket_first_wish(void)
{
	return sonde_socket_wish((__u32)SONDE_SOCKET_HEAD_AND_TAIL | SONDE_SOCKET_CHUNKS,
				 SONDE_SOCKET_HEAD_LIMIT, SONDE_SOCKET_HEAD_TAIL, false, 0);
}

/* Of a socket that was joined in the middle and is looked at from time to time: the beginning of each
 * turn. */
SONDE_CONSTEXPR __u64 sonde_socket_look_wish(void)
{
	return sonde_socket_wish((__u32)SONDE_SOCKET_HEAD | SONDE_SOCKET_PER_TURN, 2048, 0, false,
				 0);
}

/* An entry of the array of verdicts; a socket keeps its index. The kernel claims a free entry for a
 * socket it announces (no wish is sonde_socket_first_wish()), the agent writes the wishes and frees
 * it (wishes first, then `socket`) when the socket has closed. A socket that found none free has
 * SONDE_SOCKET_FULL for ever: dear, but right. */
struct sonde_socket_verdict {
	__u64 socket; /* 0: free */
	__u64 wish[SONDE_SOCKET_DIRECTIONS];
};

/* The first record of a socket. Positions count bytes modulo 2^32 from an origin of the socket's
 * own; the ones here are those of the first byte where `from_start`, otherwise those from which on
 * something is known. */
struct sonde_socket_opened {
	struct sonde_record record;
	__u64 socket; /* unique while the agent runs */
	__u32 position[SONDE_SOCKET_DIRECTIONS];
	__u32 verdict; /* index */
	__u32 tgid;    /* who used it first */
	__u32 netns;
	__u16 slot;
	__u16 generation;
	__u16 local_port;
	__u16 remote_port;
	__u8 local[16]; /* IPv4 in its mapped form; AF_UNIX: zero */
	__u8 remote[16];
	__u8 role;	 /* enum sonde_socket_role */
	__u8 transport;	 /* enum sonde_socket_transport */
	__u8 from_start; /* every byte since the first one will be reported */
	__u8 padding;
	/* The id of AF_UNIX: the other end; of TLS: the socket that it passes through. 0 when it is not
	 * known yet: TLS is announced again once it is. */
	__u64 peer;
};

enum sonde_socket_flags {
	SONDE_SOCKET_STARTS_CALL = 1, /* the first record of its call */
	SONDE_SOCKET_END = 2,	      /* the peer's end of stream; nothing is covered */
	SONDE_SOCKET_UNREADABLE = 4,  /* bytes that a tap cannot see: sendfile, io_uring, faults */
};

/* Part of one call: `covered` bytes of the stream, the first `captured` of them follow. */
struct sonde_socket_bytes {
	struct sonde_record record;
	__u64 socket;
	__u32 position; /* of the first byte */
	__u32 covered;
	__u16 captured;
	__u8 direction;
	__u8 flags;
	__u32 tgid; /* who made the call, and its service */
	__u16 slot;
	__u16 generation;
	__u32 unused;
};

enum sonde_socket_close {
	SONDE_SOCKET_CLOSED_HERE = 0,  /* this side closed first */
	SONDE_SOCKET_CLOSED_THERE = 1, /* the peer closed first */
	SONDE_SOCKET_CLOSED_RESET = 2, /* either side broke it off, or it timed out */
};

struct sonde_socket_closed {
	struct sonde_record record;
	__u64 socket;
	__u32 how; /* enum sonde_socket_close */
	__u32 verdict; /* its entry, to be freed */
};

enum sonde_socket_state {
	SONDE_SOCKET_OLDER = 1,	 /* found at start: bytes may have passed before */
	SONDE_SOCKET_CLOSED = 2, /* reported as closed */
	SONDE_SOCKET_FRESH = 4,	 /* its establishment was seen */
};

enum sonde_socket_framing {
	SONDE_CHUNKS_NONE = 0, /* not followed */
	SONDE_CHUNKS_SIZE,	/* in the line of a size, or the line end before it */
	SONDE_CHUNKS_EXTENSION, /* in the rest of that line */
	SONDE_CHUNKS_DATA,
	SONDE_CHUNKS_TRAILERS, /* behind the last chunk, up to an empty line */
	SONDE_CHUNKS_BODY, /* of a message with a length: nothing but data */
};

/* Where the framing of a chunked body stood at the end of the last call. */
struct sonde_socket_chunks {
	__u32 position;
	__u32 left; /* of the data; in a line of a size its value so far */
	__u8 framing;
	__u8 digits;
	__u16 length; /* while a head is looked through: bpf/lib/socket_head.h */
};

/* What Sonde keeps of a socket in its storage. */
struct sonde_socket {
	__u64 id; /* 0 until it has been announced */
	/* Positions: where the kernel keeps none the present ones, otherwise those of the first
	 * bytes. */
	__u64 count[SONDE_SOCKET_DIRECTIONS];
	__u32 verdict;
	__u16 state;	/* enum sonde_socket_state */
	__u8 how;	/* enum sonde_socket_close, of a connection that has ended */
	__u8 turn;	/* whose turn it is: a direction plus 1 */
	__u64 captured; /* in this turn */
	struct sonde_socket_chunks chunks[SONDE_SOCKET_DIRECTIONS];
	__u32 done[SONDE_SOCKET_DIRECTIONS]; /* the task whose call the first program reported */
};

/* A listening port: the hint to the role of what is connected there. */
struct sonde_socket_port {
	__u32 netns;
	__u32 port;
};

/* Counters of the tap, one row a CPU. */
struct sonde_socket_row {
	__u64 calls[SONDE_SOCKET_DIRECTIONS]; /* looked at */
	__u64 ids;	  /* given out */
	__u64 lost_ring;  /* records that found the ring full */
	__u64 unreadable; /* calls whose bytes a tap cannot see */
	__u64 faults;	  /* bytes that could not be read at that moment */
	__u64 no_storage; /* sockets for which no storage could be had: not observed */
	__u64 shortened;  /* calls of which less was captured, because the ring ran full */
	__u64 padding[8];
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_socket_verdict) == 24, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_socket_opened) == 96, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_socket_bytes) == 48, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_socket_closed) == 32, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_socket) == 72, "fits the option memory's share");
SONDE_STATIC_ASSERT(sizeof(struct sonde_socket_row) == 128, "multiple of a cache line");
