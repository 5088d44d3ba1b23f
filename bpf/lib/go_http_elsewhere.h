/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests that are handled on another goroutine than the one that serves them
 * (http.TimeoutHandler): what is known of them there is found by the headers, which all copies of a
 * request share. */
#pragma once

#include "lib/go_http_maps.h"

struct go_http_elsewhere {
	__u64 ktime_ns; /* first: the agent reads it */
	__u64 mux_request;
	struct go_http_pattern pattern;
};

/* Who serves a request takes it out; what comes after that is deleted by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2048);
	__type(key, struct sonde_go_request);
	__type(value, struct go_http_elsewhere);
} go_http_elsewhere SEC(".maps");

static __always_inline struct go_string
go_http__pattern_of(const struct sonde_go_http_binary *binary, __u64 request)
{
	struct go_string text = {};

	if (binary->request_pattern != SONDE_GO_ABSENT) {
		text = go__string(request + binary->request_pattern);
	} else if (binary->request_pat != SONDE_GO_ABSENT) {
		__u64 pat = go__word(request + binary->request_pat);

		if (pat)
			text = go__string(pat + binary->pat_text);
	}
	return text;
}

static __always_inline void go_http__forget(struct go_http_handling *handling)
{
	handling->router_object = 0;
	handling->mux_request = 0;
	handling->pattern.text.length = 0;
	handling->pattern.router = 0;
}

/* A request is seen on a goroutine: one that is served elsewhere, where none has begun on this one.
 * Later headers may lie where earlier ones did, as later goroutines do. */
static __always_inline void go_http__comes(const struct sonde_go_http_binary *binary,
					   const struct sonde_go_routine *routine,
					   struct go_http_handling *handling, __u64 request)
{
	__u64 headers, number;

	if (handling->start_ns || !request || binary->request_headers == SONDE_GO_ABSENT ||
	    binary->routine_number == SONDE_GO_ABSENT)
		return;
	headers = go__word(request + binary->request_headers);
	number = go__word(routine->g + binary->routine_number);
	if (headers == handling->headers && number == handling->number)
		return;
	go_http__forget(handling);
	handling->headers = headers;
	handling->number = number;
	handling->routed = headers && go_http__pattern_of(binary, request).length;
}

/* The same, of a router's object that refers to it. */
static __always_inline void go_http__comes_with(const struct sonde_go_http_binary *binary,
						const struct sonde_go_routine *routine,
						struct go_http_handling *handling, __u64 object,
						__u32 offset)
{
	if (!handling->start_ns && offset != SONDE_GO_ABSENT)
		go_http__comes(binary, routine, handling, go__word(object + offset));
}

/* For who serves it. */
static __always_inline void go_http__pass(const struct sonde_go_routine *routine,
					  const struct go_http_handling *handling)
{
	struct sonde_go_request key = {.request = handling->headers, .tgid = routine->tgid};
	struct go_http_elsewhere known = {.mux_request = handling->mux_request};

	if (handling->start_ns || !handling->headers || handling->routed ||
	    (!handling->pattern.text.length && !handling->mux_request))
		return;
	known.pattern = handling->pattern;
	known.ktime_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&go_http_elsewhere, &key, &known, BPF_ANY))
		GO_HTTP_COUNT(lost_state);
}

/* Takes over what was passed since the request began: before that its headers were another's. */
static __always_inline void go_http__take(struct go_http_handling *handling, __u64 headers,
					  __u32 tgid, __u64 since_ns)
{
	struct sonde_go_request key = {.request = headers, .tgid = tgid};
	struct go_http_elsewhere *known = bpf_map_lookup_elem(&go_http_elsewhere, &key);

	if (!known)
		return;
	if (known->ktime_ns >= since_ns) {
		handling->pattern = known->pattern;
		handling->mux_request = known->mux_request;
	}
	bpf_map_delete_elem(&go_http_elsewhere, &key);
}

/* Nobody will: its pattern has been told. */
static __always_inline void go_http__drop(__u64 headers, __u32 tgid)
{
	struct sonde_go_request key = {.request = headers, .tgid = tgid};

	bpf_map_delete_elem(&go_http_elsewhere, &key);
}
