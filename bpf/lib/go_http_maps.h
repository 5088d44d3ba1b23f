/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs of go_http keep: binaries, requests under way, counts, the ring of records. */
#pragma once

#include "lib/go_abi.h"
#include "lib/ring.h"
#include "lib/rows.h"
#include "lib/service.h"
#include "lib/uprobe.h"
#include "sonde/go_http.h"

/* Offsets by binary, written before its probes are attached. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SONDE_UPROBE_FILES);
	__type(key, __u32);
	__type(value, struct sonde_go_http_binary);
} go_http_binaries SEC(".maps");

/* Apart from the offsets: this one is written, those are only read. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SONDE_UPROBE_FILES);
	__type(key, __u32);
	__type(value, struct sonde_go_http_seen);
} go_http_seen SEC(".maps");

/* Routers within routers: patterns before the last one that are told. */
#define GO_PREFIXES 3

struct go_http_pattern {
	struct go_string text; /* length 0: none */
	struct go_string parts[GO_PREFIXES];
	__u32 prefix; /* of the parts' addresses; 0: none */
	__u32 router;
};

/* A goroutine that handles requests. Nothing of it is deleted at a request's end: the goroutine of
 * a connection has the next one, and another goroutine gets its address. */
struct go_http_handling {
	struct sonde_go_http_under_way; /* first: the agent reads it */
	__u32 router;			/* whose object */
	__u64 router_object;
	__u64 mux_request; /* the copy that a middleware made */
	__u64 headers;	   /* of the request that is handled here and served elsewhere */
	__u64 number;	   /* of the goroutine, when it came here */
	__u64 routed;	   /* it had a pattern by then: who serves it knows it */
	/* What was known while the handler ran. */
	struct go_http_pattern pattern;
	/* Copies, here because nobody else can have this goroutine's; a CPU's scratch could be
	 * taken by another task, as uprobes can be preempted. */
	char response[SONDE_GO_COPY];
	char copy[SONDE_GO_COPY];
	/* Where the request may be garbage before its handler is done, its path lies in `response` from the begin on. */
	__u32 path_length;
	__u32 method; /* enum sonde_go_method */
};

/* As many as goroutines ever handled requests at a time; those of a process that has gone are
 * deleted by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct sonde_go_routine);
	__type(value, struct go_http_handling);
} go_http_handling SEC(".maps");

/* Zeros to begin with: too much for the stack. */
struct go_http_nothing {
	struct go_http_handling handling;
	struct sonde_go_http_counts counts;
	struct sonde_go_client_counts client_counts;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct go_http_nothing);
} go_http_nothing SEC(".maps");

/* Ended requests; deleted by the agent when the process has gone and its counts were read. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct sonde_go_http_key);
	__type(value, struct sonde_go_http_counts);
} go_http_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct sonde_go_client_key);
	__type(value, struct sonde_go_client_counts);
} go_client_counts SEC(".maps");

/* Patterns whose texts the agent was told of while it learns. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, struct sonde_go_http_key);
	__type(value, __u8);
} go_http_told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 19);
} go_http_ring SEC(".maps");

RING_READER(go_http_reader);

ROWS(go_http_rows, 1, struct sonde_go_http_row);

#define GO_HTTP_COUNT(field) ROWS_COUNT(go_http_rows, struct sonde_go_http_row, field)

static __always_inline struct go_http_nothing *go_http__nothing(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&go_http_nothing, &zero);
}

static __always_inline struct sonde_go_http_binary *go_http__binary(__u32 number)
{
	return bpf_map_lookup_elem(&go_http_binaries, &number);
}

/* The goroutine's, made when it is new; NULL when there is no room. */
static __always_inline struct go_http_handling *go_http__handling(struct sonde_go_routine *routine)
{
	struct go_http_handling *handling = bpf_map_lookup_elem(&go_http_handling, routine);
	struct go_http_nothing *nothing;

	if (handling)
		return handling;
	nothing = go_http__nothing();
	if (nothing)
		bpf_map_update_elem(&go_http_handling, routine, &nothing->handling, BPF_NOEXIST);
	handling = bpf_map_lookup_elem(&go_http_handling, routine);
	if (!handling)
		GO_HTTP_COUNT(lost_state);
	return handling;
}

/* Of one of both sizes. */
static __always_inline struct sonde_go_http_record *go_http__reserve(__u16 kind, const __u32 bytes)
{
	struct sonde_go_http_record *record = bpf_ringbuf_reserve(&go_http_ring, bytes, 0);

	if (!record) {
		GO_HTTP_COUNT(lost_ring);
		return NULL;
	}
	record__begin(&record->record, kind, bytes);
	return record;
}

static __always_inline void go_http__submit(struct sonde_go_http_record *record)
{
	record__submit(record, &go_http_ring, &go_http_reader, 4);
}

static __always_inline struct sonde_go_http_seen *go_http__seen(__u32 number)
{
	return bpf_map_lookup_elem(&go_http_seen, &number);
}

/* Marks what kind of requests there are; written once for each look of the agent. */
#define GO_HTTP_SAW(number, what)                                                                  \
	do {                                                                                       \
		struct sonde_go_http_seen *saw = go_http__seen(number);                            \
		if (saw && !saw->what)                                                             \
			saw->what = 1;                                                             \
	} while (0)
