/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP connections of each service: bpf/tcp.bpf.c and agent/probes/tcp.cpp. */
#pragma once

#include "sonde/abi.h"
#include "sonde/histogram.h"

enum sonde_tcp_role {
	SONDE_TCP_CLIENT = 0,
	SONDE_TCP_SERVER = 1,
	SONDE_TCP_ROLES = 2,
	SONDE_TCP_LISTENER = 2,
	SONDE_TCP_NO_ROLE = 3, /* closed, may be used again */
};

enum sonde_tcp_close {
	SONDE_TCP_FIN = 0,
	SONDE_TCP_RESET = 1,
	SONDE_TCP_TIMEOUT = 2,
	SONDE_TCP_CLOSES = 3,
};

enum sonde_tcp_failure {
	SONDE_TCP_REFUSED = 0,
	SONDE_TCP_TIMED_OUT = 1,
	SONDE_TCP_UNREACHABLE = 2,
	SONDE_TCP_FAILURES = 3,
};

enum sonde_tcp_direction {
	SONDE_TCP_SENT = 0,
	SONDE_TCP_RECEIVED = 1,
	SONDE_TCP_DIRECTIONS = 2,
};

/* A connection's life: counted as opened once, by whoever comes first. */
enum sonde_tcp_opened {
	SONDE_TCP_NOT_OPEN = 0,
	SONDE_TCP_PENDING = 1, /* established, its owner not yet known for certain */
	SONDE_TCP_COUNTED = 2,
};

/* Counters of a service on a CPU; never cleared. */
struct sonde_tcp_row {
	__u64 opened[SONDE_TCP_ROLES];
	__u64 closed[SONDE_TCP_ROLES][SONDE_TCP_CLOSES];
	__u64 connect_failures[SONDE_TCP_FAILURES];
	__u64 retransmits; /* segments */
	__u64 sent;	   /* payload bytes the peer acknowledged */
	__u64 received;	   /* payload bytes in order */
	__u64 resets[SONDE_TCP_DIRECTIONS];
	__u64 unowned;	/* connections that opened without a known owner */
	__u64 unstored; /* sockets for which no storage could be had: not observed */
	__u64 padding[2];
	struct sonde_histogram connect; /* ns */
	struct sonde_histogram rtt;	/* ns */
};

#define SONDE_TCP_STATES 16 /* the kernel's TCP_* numbers, 1 to 12 */

/* Sockets of a service by role and state, filled by the iterator of one scrape. */
struct sonde_tcp_live {
	__u64 count[SONDE_TCP_ROLES][SONDE_TCP_STATES];
};

#define SONDE_TCP_DROP_REASONS 256 /* core reasons; a subsystem's own have larger numbers */

struct sonde_tcp_drops {
	__u64 count[SONDE_TCP_DROP_REASONS];
};

/* What Sonde knows of a socket, in its socket storage. At most 64 bytes: each one is charged to the
 * socket's option memory. */
struct sonde_tcp_socket {
	__u64 connect_ns; /* SYN sent; 0 when it was not seen */
	__u64 sent;	  /* payload already accounted in rows */
	__u64 received;
	__u32 retransmits;
	__u32 opened; /* enum sonde_tcp_opened */
	__u32 tgid;   /* owner */
	__u16 slot;
	__u16 generation; /* of the slot */
	__u32 rtt_window; /* of the last observation */
	__u32 rtt_acked;  /* low bits of bytes_acked then */
	__u32 rtt_us8;	  /* srtt_us then, in the kernel's eighths; 0 before the first one */
	__u8 role;
	__u8 reset; /* one was received */
	__u8 state; /* the last one seen, a TCP_* number */
	__u8 padding;
};

/* A listening address: who gets the connections that are accepted there. */
struct sonde_tcp_address {
	__u8 address[16]; /* IPv4 in its mapped form */
	__u32 netns;
	__u16 port;
	__u16 padding;
};

struct sonde_tcp_listener {
	__u64 socket;
	__u32 tgid;
	__u16 slot;
	__u16 generation;
};

#define SONDE_KIND_LISTENING SONDE_KIND_FAMILY

/* A process began to listen, or was found listening at start. */
struct sonde_tcp_listening {
	struct sonde_record record;
	__u32 tgid;
	__u32 port;
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_tcp_row) == 704, "multiple of a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_tcp_live) == 256, "multiple of a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_tcp_socket) == 56, "fits the option memory's share");
SONDE_STATIC_ASSERT(sizeof(struct sonde_tcp_address) == 24, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_tcp_listener) == 16, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_tcp_listening) == 24, "wire format");
