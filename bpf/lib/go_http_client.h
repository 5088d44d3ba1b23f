/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests that net/http's client sends on TLS connections. */
#pragma once

#include "lib/go_http_count.h"

struct go_client_request {
	__u64 request;
	__u32 tgid;
	__u32 padding;
};

struct go_client_under_way {
	__u64 start_ns;
	__u64 pool; /* *persistConn */
};

/* Requests without an answer are deleted by nobody. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, struct go_client_request);
	__type(value, struct go_client_under_way);
} go_client_requests SEC(".maps");

static __always_inline int go_client__start(void *ctx, __u64 pool, __u64 sent)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_http_binary *binary = go_http__binary(hit.file);
	struct go_client_request key = {.tgid = bpf_get_current_pid_tgid() >> 32};
	struct go_client_under_way way = {.start_ns = bpf_ktime_get_ns(), .pool = pool};

	if (!binary || (!go_http_counts_plain && !go__word(pool + binary->pool_tls)))
		return 0;
	GO_HTTP_SAW(hit.file, client_tls);
	key.request = go__word(sent + binary->sent_request);
	bpf_map_update_elem(&go_client_requests, &key, &way, BPF_ANY);
	return 0;
}

/* `got`: a *Response, or a server's *Request, which no client has sent. */
static __always_inline int go_client__end(void *ctx, __u64 got)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_http_binary *binary = go_http__binary(hit.file);
	struct go_client_request request = {.tgid = bpf_get_current_pid_tgid() >> 32};
	struct sonde_go_client_key key = {.tgid = request.tgid};
	struct sonde_go_client_counts *counts;
	struct go_client_under_way *way;
	struct go_http_nothing *nothing;
	__u64 start_ns;

	if (!binary)
		return 0;
	request.request = go__word(got + binary->got_request);
	way = bpf_map_lookup_elem(&go_client_requests, &request);
	if (!way)
		return 0;
	key.status = (__u16)go__word(got + binary->got_status);
	if (key.status >= 100 && key.status < 200 && key.status != 101)
		return 0; /* the response is to come */
	start_ns = way->start_ns;
	key.length = go__text(key.server, 64, go__string(way->pool + binary->pool_address));
	bpf_map_delete_elem(&go_client_requests, &request);
	key.method = go_http__method(go__string(request.request + binary->request_method));
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
		return 0;
	}
	__sync_fetch_and_add(&counts->requests, 1);
	go_http__observe(&counts->durations, go_http_duration_bounds,
			 bpf_ktime_get_ns() - start_ns);
	return 0;
}
