/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Plaintext of TLS connections: bpf/tls.bpf.c and agent/probes/tls.cpp. What passes is told in the
 * records of the socket tap (socket.h), as a stream of its own that lies over a socket. */
#pragma once

#include "sonde/socket.h"

/* What a probed function does; bits 0-7 of the site's cookie. */
enum sonde_tls_function {
	SONDE_TLS_READ = 0,
	SONDE_TLS_WRITE = 1,
	SONDE_TLS_SENDFILE = 2, /* returns how many bytes, which lie in no buffer */
	SONDE_TLS_HANDSHAKE = 3,
	SONDE_TLS_FREE = 4,
	SONDE_TLS_SHUTDOWN = 5, /* says to the peer that no more will be written */
};

/* How a C function says how many bytes it moved; bits 8-15. Where it is no count, the function
 * returns more than 0 when it succeeded. Of what reads, 0 is the end of the stream but for SSL_read_ex,
 * which has no other number for failures. */
enum sonde_tls_length {
	SONDE_TLS_RETURNED = 0,
	SONDE_TLS_BEHIND_FOURTH = 1, /* argument: a pointer to size_t */
	SONDE_TLS_BEHIND_FIFTH = 2,
	SONDE_TLS_BEHIND_FOURTH_OR_0 = 3,
};

SONDE_CONSTEXPR __u32 sonde_tls_cookie(__u32 function, __u32 length)
{
	return function | length << 8;
}

/* Of what reads in Go; the upper half of the cookie is an offset. */
enum sonde_tls_go {
	/* What is read is copied here by memmove: the connection lies at the offset in the stack.
	 * Without it the offset is that of the field `input` in the connection. */
	SONDE_TLS_GO_COPIES = 2,
};

SONDE_CONSTEXPR __u32 sonde_tls_go_cookie(__u32 flags, __u32 offset)
{
	return flags | offset << 16;
}

/* A connection of a library: whatever it knows it by, in this process. */
struct sonde_tls_key {
	__u64 connection;
	__u32 tgid;
	__u32 padding;
};

/* The socket that a thread used last. */
struct sonde_tls_under {
	__u64 id;      /* of the tap's; 0: none, or not known */
	__u64 address; /* in the kernel's memory */
	__u32 verdict;
	__u32 padding;
};

/* A call into the library that has not returned. */
struct sonde_tls_call {
	__u64 connection;
	__u64 buffer;
	__u64 length_at;
	__u64 stack; /* where it was made: 0 is no call */
	__u8 function;
	__u8 length;
	__u8 under; /* a direction plus 1: what the thread did with its socket within the call */
	__u8 padding[5];
};

#define SONDE_TLS_DEPTH 2 /* TLS within TLS: through a proxy */

/* Of each connection. */
struct sonde_tls_stream {
	struct sonde_socket socket;
	__u64 over; /* the id of the socket; 0: not known */
	__u64 address; /* its address; likewise */
	__u64 encrypter; /* of rustls: the key that encrypts for it; 0: not known */
};

/* Plaintext that was encrypted and not yet sent. */
struct sonde_tls_piece {
	__u64 base;
	__u64 length;
};

#define SONDE_TLS_PIECES 16

/* Threads that may be known to wait for a read they began before the probes came. */
#define SONDE_TLS_WAITING 1024

/* Of each thread that called a library. */
struct sonde_tls_thread {
	struct sonde_tls_call calls[SONDE_TLS_DEPTH];
	struct sonde_tls_under under[SONDE_SOCKET_DIRECTIONS];
	/* Where the bytes lie that are reported now. */
	__u64 base;
	__u8 in_library; /* of C */
	__u8 received; /* since bytes were last read from it */
	__u8 pieces;   /* how many wait to be sent */
	__u8 new_key;  /* they begin with the first of their key */
	__u8 padding[4];
	__u64 encrypter; /* the key that encrypted them, whose socket is not known; 0: none */
	__u64 unkept;  /* bytes behind them, for which there was no room */
	struct sonde_tls_piece piece[SONDE_TLS_PIECES];
	/* What the library has copied last outside of the calls that were seen. */
	struct sonde_tls_piece copied;
	/* What the stack has no place for: words of the caller's memory, a stream that begins. */
	__u64 words[6];
	struct sonde_tls_stream fresh;
	__u64 order[10]; /* struct socket_order */
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_tls_key) == 16, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_tls_under) == 24, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_tls_call) == 40, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_tls_thread) == 656, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_tls_stream) == 96, "wire format");
