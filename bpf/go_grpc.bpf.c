// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Calls that Go programs serve and make by grpc-go: counted by method and code where the library
 * ends them, unary and streaming ones alike, and their messages where they pass. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/go_grpc_maps.h"
#include "lib/uprobe.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define STREAM_ACTIVE	  0
#define STREAM_DONE	  3
#define TRANSPORT_CLOSING 1

#define GO_GRPC_CALL(thing, side)                                                                  \
	{.object = (thing), .tgid = bpf_get_current_pid_tgid() >> 32, .role = (side)}

static __always_inline struct sonde_go_grpc_binary *go_grpc__binary(__u32 number)
{
	return bpf_map_lookup_elem(&go_grpc_binaries, &number);
}

static __always_inline __u8 go_grpc__code(const struct sonde_go_grpc_binary *binary, __u64 status)
{
	__u64 proto = status ? go__word(status + binary->status_proto) : 0;
	__u32 code = 0;

	if (proto && !go__read(&code, sizeof(code), proto + binary->proto_code))
		return UNKNOWN;
	return code <= LAST_CODE ? code : UNKNOWN;
}

/* nil and io.EOF are success. */
static __always_inline __u8 go_grpc__code_of(const struct sonde_go_grpc_binary *binary,
					     struct go_interface error)
{
	if (!go__holds(error, binary->error_type))
		return 0;
	if (binary->error_proto != SONDE_GO_GRPC_ABSENT)
		return go_grpc__code(binary,
				     error.data + binary->error_proto - binary->status_proto);
	return go_grpc__code(binary, go__word(error.data + binary->error_status));
}

/* The Stream in a ServerStream or ClientStream. */
static __always_inline __u64 go_grpc__stream(const struct sonde_go_grpc_binary *binary,
					     __u64 stream)
{
	return binary->stream_follow ? go__word(stream + binary->stream) : stream + binary->stream;
}

static __always_inline void go_grpc__begins(struct sonde_go_grpc_call *call)
{
	__u64 now_ns = bpf_ktime_get_ns();

	go_grpc__settle(call);
	if (bpf_map_update_elem(&go_grpc_calls, call, &now_ns, BPF_ANY))
		GO_GRPC_COUNT(lost_state);
}

/* (*Server).handleStream(s, t, stream): AX, (BX, CX), DI. */
GO_SITE(go_grpc_server_start)
{
	struct sonde_go_grpc_call call = GO_GRPC_CALL(GO_ARG3(ctx), SONDE_GRPC_SERVER);

	uprobe__hit(ctx);
	go_grpc__begins(&call);
	return 0;
}

/* (*http2Server).writeStatus(t, stream, status): what the handler returned, whether or not anybody
 * is there to read it. */
GO_SITE(go_grpc_server_end)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_grpc_binary *binary = go_grpc__binary(hit.file);
	struct sonde_go_grpc_call call = GO_GRPC_CALL(GO_ARG1(ctx), SONDE_GRPC_SERVER);
	struct sonde_go_grpc_key key = {};

	/* Streams that were refused before a handler are none of the service's calls; those that
	 * began before the probes cannot be told from them. */
	if (!binary || !bpf_map_lookup_elem(&go_grpc_calls, &call))
		return 0;
	bpf_map_delete_elem(&go_grpc_endings, &call);
	key.code = go_grpc__code(binary, GO_ARG2(ctx));
	go_grpc__name(&key, call.role,
		      go__string(go_grpc__stream(binary, GO_ARG1(ctx)) + binary->method));
	go_grpc__ended(&key, &call);
	return 0;
}

/* Of a *clientStream: what it is called and whom it asked. */
static __always_inline void go_grpc__client(const struct sonde_go_grpc_binary *binary, __u64 stream,
					    struct sonde_go_grpc_key *key)
{
	struct sonde_go_remote remote = {.tgid = bpf_get_current_pid_tgid() >> 32};
	__u64 header = go__word(stream + binary->call_header);
	__u64 attempt = go__word(stream + binary->attempt);
	/* An interface's second word. */
	__u64 transport = attempt ? go__word(attempt + binary->attempt_transport + 8) : 0;

	go_grpc__name(key, SONDE_GRPC_CLIENT, go__string(header + binary->header_method));
	if (transport && go_conn__between(&binary->conn, transport + binary->local_address,
					  transport + binary->remote_address, &remote))
		key->peer_length = go_conn__write(key->peer, &remote);
	else
		key->peer_length = go__text(
			key->peer, sizeof(key->peer),
			go__string(go__word(stream + binary->connection) + binary->target));
}

/* (*clientStream).newAttemptLocked: the first one, or another one of the same call. */
GO_SITE(go_grpc_client_start)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_grpc_binary *binary = go_grpc__binary(hit.file);
	struct sonde_go_grpc_call call = GO_GRPC_CALL(GO_ARG0(ctx), SONDE_GRPC_CLIENT);
	__u8 first = 1;

	if (!binary)
		return 0;
	go__read(&first, 1, call.object + binary->first_attempt);
	if (first)
		go_grpc__begins(&call);
	else
		bpf_map_delete_elem(&go_grpc_endings, &call);
	return 0;
}

/* (*clientStream).finish(cs, err): AX, (BX, CX). Only the first of several ends the call. */
GO_SITE(go_grpc_client_end)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_grpc_binary *binary = go_grpc__binary(hit.file);
	struct sonde_go_grpc_call call = GO_GRPC_CALL(GO_ARG0(ctx), SONDE_GRPC_CLIENT);
	struct go_interface error = {.table = GO_ARG1(ctx), .data = GO_ARG2(ctx)};
	struct sonde_go_grpc_key key = {};
	__u8 finished = 0;

	if (!binary || !go__read(&finished, 1, call.object + binary->finished) || finished)
		return 0;
	bpf_map_delete_elem(&go_grpc_endings, &call);
	key.code = go_grpc__code_of(binary, error);
	go_grpc__client(binary, call.object, &key);
	go_grpc__ended(&key, &call);
	return 0;
}

/* (*clientStream).retryLocked(cs, attempt, err): AX, BX, (CX, DI); before 1.46 without the attempt.
 * When that was to open the stream, nothing is there to be replayed, and unless it is tried again
 * the call returns with this error and is never finished. */
GO_SITE(go_grpc_client_fails)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_grpc_binary *binary = go_grpc__binary(hit.file);
	struct sonde_go_grpc_call call = GO_GRPC_CALL(GO_ARG0(ctx), SONDE_GRPC_CLIENT);
	struct go_interface error = {.table = GO_ARG1(ctx), .data = GO_ARG2(ctx)};
	struct sonde_go_grpc_key key = {};

	if (!binary || go__word(call.object + binary->replay + 8))
		return 0;
	if (hit.site & SONDE_GO_GRPC_ATTEMPT) {
		error.table = GO_ARG2(ctx);
		error.data = GO_ARG3(ctx);
	}
	key.code = go_grpc__code_of(binary, error);
	go_grpc__client(binary, call.object, &key);
	go_grpc__ends(&key, &call);
	return 0;
}

static __always_inline void go_grpc__message(const struct sonde_go_grpc_binary *binary,
					     __u64 stream, __u32 role, bool sent)
{
	struct sonde_go_grpc_key key = {.code = SONDE_GRPC_MESSAGES};
	struct sonde_go_grpc_counts *counts;

	go_grpc__name(&key, role, go__string(stream + binary->method));
	GO_GRPC_COUNT(messages);
	counts = go_grpc__counts(&key);
	if (counts)
		__sync_fetch_and_add(sent ? &counts->sent : &counts->requests, 1);
}

/* (*http2Server).write(t, stream, hdr, data, opts) and (*http2Client)'s: AX, BX, (CX, DI, SI).
 * Without a header it is the end of what a client sends. */
GO_SITE(go_grpc_sends)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_grpc_binary *binary = go_grpc__binary(hit.file);
	__u32 role = hit.site & SONDE_GO_GRPC_CALLER ? SONDE_GRPC_CLIENT : SONDE_GRPC_SERVER;
	struct sonde_go_grpc_call call = GO_GRPC_CALL(GO_ARG1(ctx), role);
	struct sonde_go_grpc_key key = {};
	__u32 state = 0, transport = 0;
	__u64 stream;

	if (!binary || !GO_ARG3(ctx))
		return 0;
	stream = go_grpc__stream(binary, call.object);
	go__read(&state, sizeof(state), stream + binary->state);
	if (role == SONDE_GRPC_CLIENT ? state != STREAM_ACTIVE : state == STREAM_DONE)
		return 0;
	if (role == SONDE_GRPC_SERVER && (hit.site & SONDE_GO_GRPC_HTTP2))
		go__read(&transport, sizeof(transport), GO_ARG0(ctx) + binary->transport_state);
	if (transport != TRANSPORT_CLOSING) {
		go_grpc__message(binary, stream, role, true);
		return 0;
	}
	/* A unary handler's answer to nobody: no status is written. */
	if (!bpf_map_lookup_elem(&go_grpc_calls, &call))
		return 0;
	key.code = UNAVAILABLE;
	go_grpc__name(&key, role, go__string(stream + binary->method));
	go_grpc__ends(&key, &call);
	return 0;
}

/* (*parser).recvMsg(p, …): on this goroutine a message is waited for. */
GO_SITE(go_grpc_receives)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_grpc_binary *binary = go_grpc__binary(hit.file);
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct sonde_go_grpc_call call = GO_GRPC_CALL(0, SONDE_GRPC_SERVER);
	struct go_interface reader;

	if (!binary)
		return 0;
	reader = go__interface(GO_ARG0(ctx) + binary->reader);
	call.object = go_grpc__stream(binary, reader.data);
	if (binary->calls_by != SONDE_GO_GRPC_ABSENT ? go__word(call.object + binary->calls_by) != 0
						     : !go__holds(reader, binary->server_stream))
		call.role = SONDE_GRPC_CLIENT;
	if (bpf_map_update_elem(&go_grpc_receiving, &routine, &call, BPF_ANY))
		GO_GRPC_COUNT(lost_state);
	return 0;
}

/* checkRecvPayload: it has come. */
GO_SITE(go_grpc_received)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_grpc_binary *binary = go_grpc__binary(hit.file);
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct sonde_go_grpc_call *call = bpf_map_lookup_elem(&go_grpc_receiving, &routine);

	if (!binary || !call || !call->object)
		return 0;
	go_grpc__message(binary, call->object, call->role, false);
	call->object = 0;
	return 0;
}
