/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests that net/http's client sends on TLS connections, and all that it sends by HTTP/2. */
#pragma once

#include "lib/go_conn.h"
#include "lib/go_http_count.h"

struct go_client_under_way {
	__u64 start_ns; /* first: the agent reads it */
	struct sonde_go_client_key key;
};

/* Requests without an answer are deleted by the agent, after a while. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct sonde_go_request);
	__type(value, struct go_client_under_way);
} go_client_requests SEC(".maps");

/* `conn`: where its net.Conn lies; `name`: the server's, for want of an address. */
static __always_inline void go_client__begins(const struct sonde_go_http_binary *binary,
					      __u64 request, __u8 method, __u64 conn,
					      struct go_string name)
{
	struct sonde_go_request key = {.request = request,
				       .tgid = bpf_get_current_pid_tgid() >> 32};
	struct go_client_under_way way = {.start_ns = bpf_ktime_get_ns()};
	struct sonde_go_remote remote = {.tgid = key.tgid};

	way.key.tgid = key.tgid;
	way.key.slot = service__slot(key.tgid);
	way.key.generation = service__generation(way.key.slot);
	way.key.method = method;
	if (go_conn__remote(&binary->conn, conn, &remote))
		way.key.peer_length = go_conn__write(way.key.peer, &remote);
	else
		way.key.peer_length = go__text(way.key.peer, SONDE_GO_PEER, name);
	if (bpf_map_update_elem(&go_client_requests, &key, &way, BPF_ANY))
		GO_HTTP_COUNT(lost_state);
}

static __always_inline void go_client__ends(struct sonde_go_request *request,
					    struct go_client_under_way *way, __u16 status)
{
	struct sonde_go_client_key key = way->key;
	__u64 took_ns = bpf_ktime_get_ns() - way->start_ns;
	struct sonde_go_client_counts *counts;
	struct go_http_nothing *nothing;

	bpf_map_delete_elem(&go_client_requests, request);
	key.status = status;
	GO_HTTP_COUNT(clients);
	counts = bpf_map_lookup_elem(&go_client_counts, &key);
	if (!counts) {
		nothing = go_http__nothing();
		if (nothing)
			bpf_map_update_elem(&go_client_counts, &key, &nothing->client_counts,
					    BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&go_client_counts, &key);
	}
	if (!counts) {
		GO_HTTP_COUNT(lost_counts);
		return;
	}
	__sync_fetch_and_add(&counts->requests, 1);
	go_http__observe(&counts->durations, go_http_duration_bounds, took_ns);
}

/* net/http.(*persistConn).roundTrip(pc, req). */
GO_SITE(go_http_client_start)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_http_binary *binary = go_http__binary(hit.file);
	__u64 pool = GO_ARG0(ctx), request;

	if (!binary)
		return 0;
	if (!go_http_counts_plain && !go__word(pool + binary->pool_tls)) {
		GO_HTTP_SAW(hit.file, client_plain);
		return 0;
	}
	GO_HTTP_SAW(hit.file, client_tls);
	request = go__word(GO_ARG1(ctx) + binary->sent_request);
	go_client__begins(binary, request,
			  go_http__method(go__string(request + binary->request_method)),
			  pool + binary->pool_conn, go__string(pool + binary->pool_address));
	return 0;
}

/* Where net/http.ReadResponse calls readTransfer(msg any, r): the head has been read. */
GO_SITE(go_http_client_end)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_http_binary *binary = go_http__binary(hit.file);
	struct sonde_go_request request = {.tgid = bpf_get_current_pid_tgid() >> 32};
	__u64 got = GO_ARG1(ctx);
	struct go_client_under_way *way;
	__u16 status;

	if (!binary)
		return 0;
	request.request = go__word(got + binary->got_request);
	way = bpf_map_lookup_elem(&go_client_requests, &request);
	if (!way)
		return 0;
	status = (__u16)go__word(got + binary->got_status);
	if (status < 100 || status >= 200 || status == 101)
		go_client__ends(&request, way, status);
	return 0;
}

static __always_inline struct sonde_go_http2 *go_client__http2(struct sonde_go_http_binary *binary,
							       __u32 site)
{
	return site & SONDE_GO_SITE_X_NET ? &binary->http2[1] : &binary->http2[0];
}

/* (*clientStream).doRequest(cs, req) of HTTP/2. */
GO_SITE(go_http2_client_start)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_http_binary *binary = go_http__binary(hit.file);
	__u64 stream = GO_ARG0(ctx), connection;
	struct sonde_go_http2 *offsets;
	struct go_string unknown = {};

	if (!binary)
		return 0;
	GO_HTTP_SAW(hit.file, client_tls);
	offsets = go_client__http2(binary, hit.site);
	connection = go__word(stream + offsets->client_conn);
	go_client__begins(binary, stream,
			  go_http__method(go__string(GO_ARG1(ctx) + offsets->sent_method)),
			  connection + offsets->conn, unknown);
	return 0;
}

/* (*clientStream).cleanupWriteRequest(cs, err) of HTTP/2, on that goroutine: all has been read, or
 * one side has broken off. */
GO_SITE(go_http2_client_end)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_http_binary *binary = go_http__binary(hit.file);
	struct sonde_go_request request = {.request = GO_ARG0(ctx),
					   .tgid = bpf_get_current_pid_tgid() >> 32};
	struct go_client_under_way *way;
	struct sonde_go_http2 *offsets;
	__u64 got;

	if (!binary)
		return 0;
	way = bpf_map_lookup_elem(&go_client_requests, &request);
	if (!way)
		return 0;
	offsets = go_client__http2(binary, hit.site);
	got = go__word(request.request + offsets->got);
	if (got)
		go_client__ends(&request, way, (__u16)go__word(got + offsets->got_status));
	else
		bpf_map_delete_elem(&go_client_requests, &request);
	return 0;
}
