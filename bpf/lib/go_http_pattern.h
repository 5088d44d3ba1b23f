/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which pattern a request was routed by: net/http's own, or that of the router that was seen at
 * work on this goroutine. */
#pragma once

#include "lib/go_http_elsewhere.h"

/* Each part has a cell of a record's path. */
#define GO_PREFIX 64

/* A word of a copied struct. */
static __always_inline __u64 go_http__at(const char *copy, __u32 offset)
{
	if (offset > SONDE_GO_COPY - sizeof(__u64))
		return 0;
	asm volatile("" : "+r"(offset));
	offset &= SONDE_GO_COPY - 1;
	if (offset > SONDE_GO_COPY - sizeof(__u64))
		return 0;
	return *(volatile __u64 *)(copy + offset);
}

static __always_inline struct go_string go_http__string_at(const char *copy, __u32 offset)
{
	struct go_string string = {};

	string.text = go_http__at(copy, offset);
	string.length = go_http__at(copy, offset + 8);
	return string;
}

static __always_inline bool go_http__copy(char *to, __u32 bytes, __u64 from)
{
	asm volatile("" : "+r"(bytes));
	bytes &= 0x1ff;
	if (bytes > SONDE_GO_COPY)
		bytes = SONDE_GO_COPY;
	if (from && go__read(to, bytes, from))
		return true;
	GO_HTTP_COUNT(unreadable);
	return false;
}

/* Of a request that was copied. */
static __always_inline struct go_string
go_http__pattern_in(const struct sonde_go_http_binary *binary, const char *copy)
{
	struct go_string text = {};

	if (binary->request_pattern != SONDE_GO_ABSENT) {
		text = go_http__string_at(copy, binary->request_pattern);
	} else if (binary->request_pat != SONDE_GO_ABSENT) {
		__u64 pat = go_http__at(copy, binary->request_pat);

		if (pat)
			text = go__string(pat + binary->pat_text);
	}
	return text;
}

/* The last of chi's patterns; those before it are the routers it lies in. */
static __always_inline void go_http__chi(const struct sonde_go_http_binary *binary, __u64 object,
					 struct go_http_pattern *pattern)
{
	__u64 list[2] = {};

	if (!go__read(list, sizeof(list), object + binary->chi_patterns) || !list[1] ||
	    list[1] > GO_PREFIXES + 1)
		return;
	pattern->text = go__string(list[0] + (list[1] - 1) * sizeof(struct go_string));
	for (__u32 i = 0; i < GO_PREFIXES; ++i)
		if (i + 1 < list[1]) {
			pattern->parts[i] = go__string(list[0] + i * sizeof(struct go_string));
			pattern->prefix ^= (__u32)pattern->parts[i].text * (2 * i + 1);
		}
}

/* mux.regexpTypePrefix. */
#define GORILLA_PREFIX 2

/* Of gorilla's match: its route's template. */
static __always_inline void go_http__gorilla(const struct sonde_go_http_binary *binary,
					     __u64 object, struct go_http_pattern *pattern)
{
	__u64 inner = go__word(object + binary->gorilla_route);

	inner = inner ? go__word(inner + binary->gorilla_path) : 0;
	if (!inner)
		return;
	pattern->text = go__string(inner + binary->gorilla_template);
	if (binary->gorilla_type != SONDE_GO_ABSENT &&
	    go__word(inner + binary->gorilla_type) == GORILLA_PREFIX)
		pattern->router = SONDE_GO_GORILLA_PREFIX;
}

/* Keeps what the router at work knows by now. Its object is surely this request's only while the
 * handler runs: then it goes back to a pool, or is collected. */
static __always_inline void go_http__capture(const struct sonde_go_http_binary *binary,
					     struct go_http_handling *handling)
{
	struct go_http_pattern pattern = {.router = handling->router};
	__u64 object = handling->router_object;

	if (!object)
		return;
	switch (handling->router) {
	case SONDE_GO_GIN:
		pattern.text = go__string(object + binary->gin_path);
		break;
	case SONDE_GO_CHI:
		go_http__chi(binary, object, &pattern);
		break;
	case SONDE_GO_GORILLA:
		go_http__gorilla(binary, object, &pattern);
		break;
	case SONDE_GO_ECHO:
		pattern.text = go__string(object + binary->echo_path);
		break;
	}
	if (!pattern.text.length)
		return;
	handling->pattern = pattern;
	/* gorilla's match is garbage once the handler is called. */
	if (handling->router == SONDE_GO_GORILLA)
		handling->router_object = 0;
}

/* Keeps a pattern of net/http, unless another router's is kept. */
static __always_inline void go_http__keep(struct go_http_handling *handling, struct go_string text)
{
	if (!text.length || handling->pattern.router > SONDE_GO_SERVE_MUX)
		return;
	handling->pattern.text = text;
	handling->pattern.router = SONDE_GO_SERVE_MUX;
	handling->pattern.prefix = 0;
}

/* The request as the mux saw it, if it still is one of this request: they share the headers. */
static __always_inline void go_http__ask_copy(const struct sonde_go_http_binary *binary,
					      struct go_http_handling *handling)
{
	__u64 copy = handling->mux_request;
	__u64 headers = go_http__at(handling->copy, binary->request_headers);

	if (copy && headers && go__word(copy + binary->request_headers) == headers)
		go_http__keep(handling, go_http__pattern_of(binary, copy));
}

/* `handling->copy` holds the request as the server made it. */
static __always_inline void go_http__find_pattern(const struct sonde_go_http_binary *binary,
						  struct go_http_handling *handling, __u32 tgid,
						  __u64 since_ns, struct go_http_pattern *pattern)
{
	/* Nothing was written before the handler came back; gin always writes. */
	if (!handling->pattern.text.length && handling->router != SONDE_GO_GIN)
		go_http__capture(binary, handling);
	if (handling->pattern.router > SONDE_GO_SERVE_MUX && handling->pattern.text.length) {
		*pattern = handling->pattern;
		return;
	}
	pattern->text = go_http__pattern_in(binary, handling->copy);
	if (pattern->text.length)
		return;
	if (!handling->pattern.text.length)
		go_http__ask_copy(binary, handling);
	if (!handling->pattern.text.length) {
		go_http__take(handling, go_http__at(handling->copy, binary->request_headers), tgid,
			      since_ns);
		if (!handling->pattern.text.length)
			go_http__ask_copy(binary, handling);
	}
	if (handling->pattern.text.length) {
		*pattern = handling->pattern;
		if (pattern->router == SONDE_GO_SERVE_MUX)
			GO_HTTP_SAW(handling->binary, serve_mux);
	} else {
		GO_HTTP_SAW(handling->binary, unrouted);
	}
}

static __always_inline void go_http__write_pattern(struct sonde_go_http_record *record,
						   struct go_http_pattern *pattern)
{
	record->key.pattern_length = go__text(record->pattern, SONDE_GO_PATTERN, pattern->text);
	if (!pattern->prefix)
		return;
	for (__u32 i = 0; i < GO_PREFIXES; ++i) {
		char *cell = record->path + i * GO_PREFIX;
		__u32 length = go__text(cell, GO_PREFIX, pattern->parts[i]);

		cell[length & (GO_PREFIX - 1)] = 0;
	}
}
