/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A request has ended: counted by pattern, method and status, or told to the agent. */
#pragma once

#include "lib/go_http_pattern.h"

/* Unused ones are 2^63 - 1; the agent fills them in before it loads the object. */
const volatile __u64 go_http_duration_bounds[SONDE_BUCKETS];
const volatile __u64 go_http_size_bounds[SONDE_BUCKETS];
/* Plaintext HTTP/1 too: nobody reads the sockets. */
const volatile bool go_http_counts_plain;

/* "GET" and the like as a word: its first eight bytes. */
#define GO_WORD(a, b, c, d, e, f, g, h)                                                            \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |   \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

static __always_inline __u32 go_http__method(struct go_string method)
{
	__u64 word = 0;

	if (!method.length) /* of a client: GET */
		return SONDE_GO_GET;
	if (method.length > 7)
		return SONDE_GO_METHOD_OTHER;
	/* Mostly there are eight bytes to be read. */
	if (!go__read(&word, sizeof(word), method.text)) {
		__u32 length = method.length & 7;

		word = 0;
		if (!length || !go__read(&word, length, method.text))
			return SONDE_GO_METHOD_OTHER;
	}
	word &= (1ULL << (method.length & 7) * 8) - 1;
	if (word == GO_WORD('G', 'E', 'T', 0, 0, 0, 0, 0))
		return SONDE_GO_GET;
	if (word == GO_WORD('P', 'O', 'S', 'T', 0, 0, 0, 0))
		return SONDE_GO_POST;
	if (word == GO_WORD('P', 'U', 'T', 0, 0, 0, 0, 0))
		return SONDE_GO_PUT;
	if (word == GO_WORD('D', 'E', 'L', 'E', 'T', 'E', 0, 0))
		return SONDE_GO_DELETE;
	if (word == GO_WORD('H', 'E', 'A', 'D', 0, 0, 0, 0))
		return SONDE_GO_HEAD;
	if (word == GO_WORD('P', 'A', 'T', 'C', 'H', 0, 0, 0))
		return SONDE_GO_PATCH;
	if (word == GO_WORD('O', 'P', 'T', 'I', 'O', 'N', 'S', 0))
		return SONDE_GO_OPTIONS;
	if (word == GO_WORD('C', 'O', 'N', 'N', 'E', 'C', 'T', 0))
		return SONDE_GO_CONNECT;
	if (word == GO_WORD('T', 'R', 'A', 'C', 'E', 0, 0, 0))
		return SONDE_GO_TRACE;
	return SONDE_GO_METHOD_OTHER;
}

/* Another task may count on this CPU in the middle of it. */
static __always_inline void go_http__observe(struct sonde_histogram *histogram,
					     const volatile __u64 *bounds, __u64 value)
{
	__u32 bucket = sonde_bucket(bounds, value) & (SONDE_BUCKETS - 1);

	__sync_fetch_and_add(&histogram->buckets[bucket], 1);
	if (value)
		__sync_fetch_and_add(&histogram->sum, value);
}

/* What is known of a request at its end. */
struct go_http_end {
	__u64 since_ns; /* 0: nobody saw it begin */
	__u64 duration_ns;
	__s64 request_bytes;
	__u64 response_bytes;
	__u32 status;
	__u32 flags;
	bool copied; /* the request, when it began */
};

/* For the end of a request that nothing refers to by then. */
static __always_inline void go_http__keep_texts(const struct sonde_go_http_binary *binary,
						struct go_http_handling *handling)
{
	__u64 url = go_http__at(handling->copy, binary->request_url);

	handling->method =
		go_http__method(go_http__string_at(handling->copy, binary->request_method));
	handling->path_length = url ? go__text(handling->response, SONDE_GO_PATH,
					       go__string(url + binary->url_path))
				    : 0;
}

static __always_inline __u16 go_http__write_path(char *to, const __u32 size,
						 const struct go_http_handling *handling,
						 const struct go_http_end *end,
						 struct go_string path)
{
	__u32 length = path.length < size - 1 ? path.length : size - 1;

	if (!end->copied)
		return go__text(to, size, path);
	asm volatile("" : "+r"(length));
	length &= size - 1;
	return bpf_probe_read_kernel(to, length, handling->response) ? 0 : length;
}

/* All but its texts. */
static __always_inline void go_http__describe(struct sonde_go_http_record *record,
					      const struct sonde_go_http_binary *binary,
					      const struct sonde_go_http_key *key,
					      const struct go_http_end *end,
					      const struct go_http_handling *handling)
{
	record->key = *key;
	record->duration_ns = end->duration_ns;
	record->request_bytes = end->request_bytes;
	record->response_bytes = end->response_bytes;
	record->binary = handling->binary;
	record->slot = service__slot(key->tgid);
	record->generation = service__generation(record->slot);
	record->flags = end->flags;
	record->method_length =
		go__text(record->method, sizeof(record->method),
			 go_http__string_at(handling->copy, binary->request_method));
}

/* Servers without patterns tell each request: mostly with a path that fits a short record. */
static __always_inline void go_http__tell(const struct sonde_go_http_binary *binary, __u16 kind,
					  struct sonde_go_http_key *key, struct go_http_end *end,
					  struct go_http_handling *handling,
					  struct go_http_pattern *pattern)
{
	__u64 url = pattern->prefix ? 0 : go_http__at(handling->copy, binary->request_url);
	struct sonde_go_http_record *record;
	struct go_string path = {};

	if (end->copied)
		path.length = pattern->prefix ? 0 : handling->path_length;
	else if (url)
		path = go__string(url + binary->url_path);
	if (!pattern->text.length && path.length < SONDE_GO_SHORT_PATH) {
		record = go_http__reserve(kind, SONDE_GO_SHORT_RECORD);
		if (!record)
			return;
		go_http__describe(record, binary, key, end, handling);
		record->path_length = go_http__write_path(record->path, SONDE_GO_SHORT_PATH,
							  handling, end, path);
		go_http__submit(record);
		return;
	}
	record = go_http__reserve(kind, sizeof(*record));
	if (!record)
		return;
	go_http__describe(record, binary, key, end, handling);
	go_http__write_pattern(record, pattern);
	record->path_length = go_http__write_path(record->path, SONDE_GO_PATH, handling, end, path);
	go_http__submit(record);
}

static __always_inline struct sonde_go_http_counts *
go_http__counts(const struct sonde_go_http_binary *binary, struct sonde_go_http_key *key,
		struct go_http_end *end, struct go_http_handling *handling,
		struct go_http_pattern *pattern)
{
	struct sonde_go_http_counts *counts = bpf_map_lookup_elem(&go_http_counts, key);
	struct go_http_nothing *nothing;

	if (counts)
		return counts;
	nothing = go_http__nothing();
	if (!nothing)
		return NULL;
	/* One of two that come here at once tells its text. */
	if (bpf_map_update_elem(&go_http_counts, key, &nothing->counts, BPF_NOEXIST) == 0)
		go_http__tell(binary, SONDE_KIND_GO_HTTP_PATTERN, key, end, handling, pattern);
	return bpf_map_lookup_elem(&go_http_counts, key);
}

/* The request's copy is in `handling`. */
static __always_inline void go_http__count(const struct sonde_go_http_binary *binary,
					   struct go_http_handling *handling, __u32 tgid,
					   struct go_http_end *end)
{
	struct go_http_pattern pattern = {};
	struct sonde_go_http_key key = {.tgid = tgid, .status = end->status};
	struct sonde_go_http_counts *counts = NULL;

	key.method = end->copied
			     ? handling->method
			     : go_http__method(go_http__string_at(handling->copy,
								  binary->request_method));
	if (key.method == SONDE_GO_HEAD)
		end->response_bytes = 0; /* what the handler wrote went nowhere */
	go_http__find_pattern(binary, handling, tgid, end->since_ns, &pattern);
	if (pattern.text.length && key.method && !(end->flags & SONDE_GO_HTTP_ABORTED)) {
		key.pattern = pattern.text.text;
		key.pattern_length = pattern.text.length < 0xffff ? pattern.text.length : 0xffff;
		key.prefix = pattern.prefix;
		key.router = pattern.router;
		counts = go_http__counts(binary, &key, end, handling, &pattern);
		if (!counts)
			GO_HTTP_COUNT(lost_counts);
	}
	if (!counts) {
		go_http__tell(binary, SONDE_KIND_GO_HTTP_REQUEST, &key, end, handling, &pattern);
		return;
	}
	__sync_fetch_and_add(&counts->requests, 1);
	if (!(end->flags & SONDE_GO_HTTP_NO_START))
		go_http__observe(&counts->durations, go_http_duration_bounds, end->duration_ns);
	if (end->request_bytes >= 0)
		go_http__observe(&counts->request_sizes, go_http_size_bounds, end->request_bytes);
	go_http__observe(&counts->response_sizes, go_http_size_bounds, end->response_bytes);
}
