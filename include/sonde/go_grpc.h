/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Calls of grpc-go as uprobes see them: bpf/go_grpc.bpf.c and agent/probes/go_grpc.cpp. */
#pragma once

#include "sonde/abi.h"
#include "sonde/go_conn.h"
#include "sonde/histogram.h"
#include "sonde/uprobe.h"

/* Bits of a site's cookie. */
#define SONDE_GO_GRPC_CALLER  1 /* of a client */
#define SONDE_GO_GRPC_ATTEMPT 2 /* retryLocked is told the attempt too (from 1.46 on) */
#define SONDE_GO_GRPC_HTTP2   4 /* of grpc-go's own HTTP/2, not of net/http's */

#define SONDE_GO_GRPC_ABSENT 0xffff

/* Offsets within structs of one binary. */
struct sonde_go_grpc_binary {
	__u16 stream;	     /* of ServerStream and ClientStream: Stream */
	__u16 stream_follow; /* 1: it is a pointer; 0: embedded, or there is only Stream */
	__u16 method;
	__u16 state;
	__u16 calls_by;	     /* Stream.ct: a client's; absent: ClientStream is a type of its own */
	__u16 server_stream; /* the lower 12 bits of the address of *ServerStream's type */
	__u16 reader;	     /* parser.r */
	__u16 transport_state;
	__u16 status_proto; /* status.Status.s */
	__u16 proto_code;
	__u16 error_status; /* status.Error.s, a *Status */
	__u16 error_type;   /* as server_stream: of *status.Error */
	__u16 call_header;  /* of clientStream, as what follows */
	__u16 finished;
	__u16 connection;
	__u16 attempt;
	__u16 first_attempt;
	__u16 replay; /* the slice of what would be done again */
	__u16 attempt_transport;
	__u16 header_method;
	__u16 target;	      /* of ClientConn */
	__u16 remote_address; /* of http2Client */
	__u16 local_address;
	struct sonde_go_conn conn;
	__u16 error_proto; /* status.Error.e, the message itself: of old ones, instead of s */
};

#define SONDE_GRPC_SERVER 0
#define SONDE_GRPC_CLIENT 1

/* In the place of a code: messages are counted. */
#define SONDE_GRPC_MESSAGES 255

struct sonde_go_grpc_key {
	__u32 tgid;
	__u16 slot;
	__u16 generation;
	__u8 role;
	__u8 code;
	__u8 method_length;
	__u8 peer_length; /* SONDE_GO_PEER_ADDRESS, or of the target */
	__u32 unused;
	char method[128]; /* /package.Service/Method */
	char peer[SONDE_GO_PEER];
};

/* What is under way: a stream of a server, a *clientStream. Its memory comes back for another one. */
struct sonde_go_grpc_call {
	__u64 object;
	__u32 tgid;
	__u32 role;
};

/* Of one CPU. */
struct sonde_go_grpc_counts {
	__u64 requests; /* or messages received */
	__u64 sent;
	struct sonde_histogram durations; /* not of calls whose start was not seen */
};

/* A call that has most likely ended: nothing is called that would say so. Counted by the agent
 * unless it goes on. */
struct sonde_go_grpc_ending {
	__u64 ktime_ns;
	__u64 duration_ns; /* 0: unknown */
	struct sonde_go_grpc_key key;
};

struct sonde_go_grpc_row {
	__u64 calls;
	__u64 messages;
	__u64 endings;
	__u64 lost_counts;
	__u64 lost_state;
	__u64 unreadable;
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_go_grpc_binary) == 56, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_go_grpc_key) == 208, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_go_grpc_counts) == 288, "wire format");
