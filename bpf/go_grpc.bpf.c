// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Calls that Go programs serve and make by grpc-go: counted by method and code where the library
 * ends them, unary and streaming ones alike. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/go_abi.h"
#include "lib/ring.h"
#include "lib/rows.h"
#include "lib/service.h"
#include "lib/uprobe.h"
#include "sonde/go_grpc.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 go_grpc_bounds[SONDE_BUCKETS];

#define UNKNOWN	  2
#define LAST_CODE 16

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SONDE_UPROBE_FILES);
	__type(key, __u32);
	__type(value, struct sonde_go_grpc_binary);
} go_grpc_binaries SEC(".maps");

/* What is under way: a stream of a server, the goroutine of a client. */
struct go_grpc_call {
	__u64 object;
	__u32 tgid;
	__u32 role;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct go_grpc_call);
	__type(value, __u64);
} go_grpc_calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct sonde_go_grpc_key);
	__type(value, struct sonde_go_grpc_counts);
} go_grpc_counts SEC(".maps");

/* To begin with: too much for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sonde_go_grpc_counts);
} go_grpc_nothing SEC(".maps");

ROWS(go_grpc_rows, 1, struct sonde_go_grpc_row);

#define GO_GRPC_COUNT(field) ROWS_COUNT(go_grpc_rows, struct sonde_go_grpc_row, field)

static __always_inline void go_grpc__start(struct go_grpc_call *call)
{
	__u64 now_ns = bpf_ktime_get_ns();

	if (bpf_map_update_elem(&go_grpc_calls, call, &now_ns, BPF_ANY))
		GO_GRPC_COUNT(lost_state);
}

static __always_inline void go_grpc__count(struct sonde_go_grpc_key *key, struct go_grpc_call *call,
					   struct go_string method, struct go_string target)
{
	__u64 *start_ns = bpf_map_lookup_elem(&go_grpc_calls, call);
	__u64 took_ns = start_ns ? bpf_ktime_get_ns() - *start_ns : 0;
	struct sonde_go_grpc_counts *counts;
	__u32 zero = 0;
	void *nothing;

	if (start_ns)
		bpf_map_delete_elem(&go_grpc_calls, call);
	key->tgid = call->tgid;
	key->slot = service__slot(call->tgid);
	key->generation = service__generation(key->slot);
	key->role = call->role;
	key->method_length = go__text(key->method, sizeof(key->method), method);
	key->target_length = go__text(key->target, sizeof(key->target), target);
	GO_GRPC_COUNT(calls);
	if (!key->method_length)
		GO_GRPC_COUNT(unreadable);
	counts = bpf_map_lookup_elem(&go_grpc_counts, key);
	if (!counts) {
		nothing = bpf_map_lookup_elem(&go_grpc_nothing, &zero);
		if (nothing)
			bpf_map_update_elem(&go_grpc_counts, key, nothing, BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&go_grpc_counts, key);
	}
	if (!counts) {
		GO_GRPC_COUNT(lost_counts);
		return;
	}
	/* Another task may count on this CPU in the middle of it. */
	__sync_fetch_and_add(&counts->requests, 1);
	if (!start_ns)
		return;
	__sync_fetch_and_add(&counts->durations.buckets[sonde_bucket(go_grpc_bounds, took_ns) &
							(SONDE_BUCKETS - 1)],
			     1);
	__sync_fetch_and_add(&counts->durations.sum, took_ns);
}

static __always_inline __u8 go_grpc__code(const struct sonde_go_grpc_binary *binary, __u64 status)
{
	__u64 proto = status ? go__word(status + binary->status_proto) : 0;
	__u32 code = 0;

	if (proto && !go__read(&code, sizeof(code), proto + binary->proto_code))
		return UNKNOWN;
	return code <= LAST_CODE ? code : UNKNOWN;
}

/* (*Server).handleStream(s, t, stream): AX, (BX, CX), DI. */
GO_SITE(go_grpc_server_start)
{
	struct go_grpc_call call = {.object = GO_ARG3(ctx),
				    .tgid = bpf_get_current_pid_tgid() >> 32,
				    .role = SONDE_GRPC_SERVER};

	uprobe__hit(ctx);
	go_grpc__start(&call);
	return 0;
}

/* (*http2Server).writeStatus(t, stream, status). */
GO_SITE(go_grpc_server_end)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_grpc_binary *binary = bpf_map_lookup_elem(&go_grpc_binaries, &hit.file);
	struct go_grpc_call call = {.object = GO_ARG1(ctx),
				    .tgid = bpf_get_current_pid_tgid() >> 32,
				    .role = SONDE_GRPC_SERVER};
	struct sonde_go_grpc_key key = {};
	struct go_string none = {};
	__u64 stream = GO_ARG1(ctx);

	/* Streams that were refused before a handler are none of the service's calls; those that
	 * began before the probes cannot be told from them. */
	if (!binary || !bpf_map_lookup_elem(&go_grpc_calls, &call))
		return 0;
	if (binary->stream_follow)
		stream = go__word(stream + binary->stream);
	key.code = go_grpc__code(binary, GO_ARG2(ctx));
	go_grpc__count(&key, &call, go__string(stream + binary->method), none);
	return 0;
}

/* grpc.newClientStream: on the goroutine that calls. */
GO_SITE(go_grpc_client_start)
{
	struct go_grpc_call call = {.object = GO_ROUTINE(ctx),
				    .tgid = bpf_get_current_pid_tgid() >> 32,
				    .role = SONDE_GRPC_CLIENT};

	uprobe__hit(ctx);
	go_grpc__start(&call);
	return 0;
}

/* (*clientStream).finish(cs, err): AX, (BX, CX). Only the first of several ends the call. */
GO_SITE(go_grpc_client_end)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_grpc_binary *binary = bpf_map_lookup_elem(&go_grpc_binaries, &hit.file);
	struct go_grpc_call call = {.object = GO_ROUTINE(ctx),
				    .tgid = bpf_get_current_pid_tgid() >> 32,
				    .role = SONDE_GRPC_CLIENT};
	struct sonde_go_grpc_key key = {};
	__u64 stream = GO_ARG0(ctx), header, connection;
	__u8 finished = 0;

	if (!binary || !go__read(&finished, 1, stream + binary->finished) || finished)
		return 0;
	/* nil and io.EOF are success; the types of errors are told apart by what address space
	 * randomisation leaves alone. */
	if (GO_ARG1(ctx) && GO_ARG2(ctx) &&
	    (go__word(GO_ARG1(ctx) + 8) & 0xfff) == binary->error_type)
		key.code = go_grpc__code(binary, go__word(GO_ARG2(ctx) + binary->error_status));
	header = go__word(stream + binary->call_header);
	connection = go__word(stream + binary->connection);
	go_grpc__count(&key, &call, go__string(header + binary->header_method),
		       go__string(connection + binary->target));
	return 0;
}
