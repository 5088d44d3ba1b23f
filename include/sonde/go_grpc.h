/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Calls of grpc-go as uprobes see them: bpf/go_grpc.bpf.c and agent/probes/go_grpc.cpp. */
#pragma once

#include "sonde/abi.h"
#include "sonde/histogram.h"
#include "sonde/uprobe.h"

/* Offsets within structs of one binary. */
struct sonde_go_grpc_binary {
	__u32 stream;	     /* of ServerStream: the *Stream that has the method */
	__u32 stream_follow; /* 1: it is a pointer; 0: embedded, and `method` counts from outside */
	__u32 method;
	__u32 status_proto; /* status.Status.s */
	__u32 proto_code;
	__u32 error_status; /* status.Error.s, a *Status */
	__u32 error_type;   /* the lower 12 bits of the address of *status.Error's type */
	__u32 call_header;  /* of clientStream */
	__u32 header_method;
	__u32 finished;
	__u32 connection;
	__u32 target; /* of ClientConn */
};

#define SONDE_GRPC_SERVER 0
#define SONDE_GRPC_CLIENT 1

struct sonde_go_grpc_key {
	__u32 tgid;
	__u16 slot;
	__u16 generation;
	__u8 role;
	__u8 code;
	__u8 method_length;
	__u8 target_length;
	__u32 unused;
	char method[128]; /* /package.Service/Method */
	char target[64];
};

/* Of one CPU. */
struct sonde_go_grpc_counts {
	__u64 requests;
	__u64 unused;
	struct sonde_histogram durations; /* not of calls whose start was not seen */
};

struct sonde_go_grpc_row {
	__u64 calls;
	__u64 lost_counts;
	__u64 lost_state;
	__u64 unreadable;
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_go_grpc_key) == 208, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_go_grpc_counts) == 288, "wire format");
