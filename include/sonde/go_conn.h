/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The other end of a Go program's connection: bpf/lib/go_conn.h and agent/probes/go_peers.cpp. */
#pragma once

#include "sonde/abi.h"

/* Of one binary. Types are told by the lower 12 bits of their descriptors' addresses, which
 * randomisation leaves alone. */
struct sonde_go_conn {
	__u16 tcp_conn;	   /* of *net.TCPConn */
	__u16 tcp_address; /* of *net.TCPAddr */
	__u16 local;	   /* netFD.laddr */
	__u16 remote;	   /* netFD.raddr */
};

/* IPv4 in its mapped form. */
struct sonde_go_remote {
	__u32 tgid;
	__u16 port;
	__u16 unused;
	__u8 address[16];
};

/* The near end of one of the connections to it: the agent finds the far end's service by both. */
struct sonde_go_local {
	__u8 address[16];
	__u16 port;
	__u16 unused;
	__u32 netns;
};

/* A key's text of the peer: a name as the program wrote it, or, with this length, an address and
 * behind it the port. */
#define SONDE_GO_PEER	      64
#define SONDE_GO_PEER_ADDRESS 255

SONDE_STATIC_ASSERT(sizeof(struct sonde_go_conn) == 8, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_go_remote) == 24, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_go_local) == 24, "wire format");
