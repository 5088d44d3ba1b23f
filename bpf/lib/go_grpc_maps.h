/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of grpc-go's calls, and how they are counted. */
#pragma once

#include "lib/go_conn.h"
#include "lib/ring.h"
#include "lib/rows.h"
#include "lib/service.h"
#include "sonde/go_grpc.h"

const volatile __u64 go_grpc_bounds[SONDE_BUCKETS];

#define UNKNOWN	    2
#define UNAVAILABLE 14
#define LAST_CODE   16

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SONDE_UPROBE_FILES);
	__type(key, __u32);
	__type(value, struct sonde_go_grpc_binary);
} go_grpc_binaries SEC(".maps");

/* By when they began; deleted when they end, and by the agent when the process has. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct sonde_go_grpc_call);
	__type(value, __u64);
} go_grpc_calls SEC(".maps");

/* A few at a time: the agent takes them within seconds. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct sonde_go_grpc_call);
	__type(value, struct sonde_go_grpc_ending);
} go_grpc_endings SEC(".maps");

/* Streams that goroutines wait for a message of; 0 when it came. A goroutine's address comes back.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct sonde_go_routine);
	__type(value, struct sonde_go_grpc_call);
} go_grpc_receiving SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct sonde_go_grpc_key);
	__type(value, struct sonde_go_grpc_counts);
} go_grpc_counts SEC(".maps");

/* Zeros to begin with: too much for the stack. */
struct go_grpc_nothing {
	struct sonde_go_grpc_counts counts;
	struct sonde_go_grpc_ending ending;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct go_grpc_nothing);
} go_grpc_nothing SEC(".maps");

ROWS(go_grpc_rows, 1, struct sonde_go_grpc_row);

#define GO_GRPC_COUNT(field) ROWS_COUNT(go_grpc_rows, struct sonde_go_grpc_row, field)

static __always_inline struct go_grpc_nothing *go_grpc__nothing(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&go_grpc_nothing, &zero);
}

static __always_inline void go_grpc__name(struct sonde_go_grpc_key *key, __u32 role,
					  struct go_string method)
{
	key->tgid = bpf_get_current_pid_tgid() >> 32;
	key->slot = service__slot(key->tgid);
	key->generation = service__generation(key->slot);
	key->role = role;
	key->method_length = go__text(key->method, sizeof(key->method), method);
	if (!key->method_length)
		GO_GRPC_COUNT(unreadable);
}

static __always_inline struct sonde_go_grpc_counts *go_grpc__counts(struct sonde_go_grpc_key *key)
{
	struct sonde_go_grpc_counts *counts = bpf_map_lookup_elem(&go_grpc_counts, key);
	struct go_grpc_nothing *nothing;

	if (counts)
		return counts;
	nothing = go_grpc__nothing();
	if (nothing)
		bpf_map_update_elem(&go_grpc_counts, key, &nothing->counts, BPF_NOEXIST);
	counts = bpf_map_lookup_elem(&go_grpc_counts, key);
	if (!counts)
		GO_GRPC_COUNT(lost_counts);
	return counts;
}

/* Another task may count on this CPU in the middle of it. */
static __always_inline void go_grpc__count(struct sonde_go_grpc_key *key, __u64 took_ns)
{
	struct sonde_go_grpc_counts *counts = go_grpc__counts(key);

	GO_GRPC_COUNT(calls);
	if (!counts)
		return;
	__sync_fetch_and_add(&counts->requests, 1);
	if (!took_ns)
		return;
	__sync_fetch_and_add(&counts->durations.buckets[sonde_bucket(go_grpc_bounds, took_ns) &
							(SONDE_BUCKETS - 1)],
			     1);
	__sync_fetch_and_add(&counts->durations.sum, took_ns);
}

/* The call's key is whole. */
static __always_inline void go_grpc__ended(struct sonde_go_grpc_key *key, struct sonde_go_grpc_call *call)
{
	__u64 *start_ns = bpf_map_lookup_elem(&go_grpc_calls, call);
	__u64 took_ns = start_ns ? bpf_ktime_get_ns() - *start_ns : 0;

	if (start_ns)
		bpf_map_delete_elem(&go_grpc_calls, call);
	go_grpc__count(key, took_ns);
}

/* Another call has this one's memory: it had ended. Whoever deletes it counts it. */
static __always_inline void go_grpc__settle(struct sonde_go_grpc_call *call)
{
	struct sonde_go_grpc_ending *ending = bpf_map_lookup_elem(&go_grpc_endings, call);

	if (ending && bpf_map_delete_elem(&go_grpc_endings, call) == 0)
		go_grpc__count(&ending->key, ending->duration_ns);
}

/* It will have ended, unless something else is heard of it. */
static __always_inline void go_grpc__ends(struct sonde_go_grpc_key *key, struct sonde_go_grpc_call *call)
{
	__u64 *start_ns = bpf_map_lookup_elem(&go_grpc_calls, call), now_ns = bpf_ktime_get_ns();
	struct go_grpc_nothing *nothing = go_grpc__nothing();
	struct sonde_go_grpc_ending *ending;

	if (!nothing || bpf_map_update_elem(&go_grpc_endings, call, &nothing->ending, BPF_ANY)) {
		GO_GRPC_COUNT(lost_state);
		return;
	}
	ending = bpf_map_lookup_elem(&go_grpc_endings, call);
	if (!ending)
		return;
	/* An assignment takes it through the stack, which has no room for two. */
	bpf_probe_read_kernel(&ending->key, sizeof(ending->key), key);
	ending->duration_ns = start_ns ? now_ns - *start_ns : 0;
	ending->ktime_ns = now_ns;
	GO_GRPC_COUNT(endings);
}
