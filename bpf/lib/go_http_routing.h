/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What routers know of the request under way: programs on net/http's own and on others'. */
#pragma once

#include "lib/go_http_count.h"

/* net/http.(*response).WriteHeader(w, code): the first bytes of the response are to come, and the
 * pattern is known. Attached while patterns are learned. */
GO_SITE(go_http_header)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct go_http_handling *handling = go_http__handling(&routine);
	struct go_http_end end = {.flags = SONDE_GO_HTTP_LEARNING};
	struct sonde_go_http_key key = {.tgid = routine.tgid};
	struct go_http_pattern pattern = {};
	struct sonde_go_http_binary *binary;
	__u8 told = 1;

	binary = go_http__binary(hit.file);
	if (!handling || !binary)
		return 0;
	handling->binary = hit.file;
	if (!go_http__copy(handling->copy, binary->request_size,
			   go__word(GO_ARG0(ctx) + binary->response_request)) ||
	    go_http__at(handling->copy, binary->request_tls))
		return 0;
	GO_HTTP_SAW(hit.file, plain);
	if (!handling->pattern.text.length)
		go_http__capture(binary, handling);
	go_http__find_pattern(binary, handling, routine.tgid, handling->start_ns, &pattern);
	if (!handling->start_ns)
		go_http__drop(handling->headers, routine.tgid);
	key.pattern = pattern.text.text;
	key.pattern_length = pattern.text.length < 0xffff ? pattern.text.length : 0xffff;
	key.prefix = pattern.prefix;
	key.router = pattern.router;
	if (!pattern.text.length) {
		key.pattern = 0;
	} else if (bpf_map_lookup_elem(&go_http_told, &key)) {
		return 0;
	} else {
		bpf_map_update_elem(&go_http_told, &key, &told, BPF_ANY);
	}
	go_http__tell(binary, SONDE_KIND_GO_HTTP_PATTERN, &key, &end, handling, &pattern);
	return 0;
}

/* The same, and (*responseWriterState).writeHeader of HTTP/2: what the router knows is kept. */
GO_SITE(go_http_capture)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct go_http_handling *handling = bpf_map_lookup_elem(&go_http_handling, &routine);
	struct sonde_go_http_binary *binary = go_http__binary(hit.file);

	if (handling && binary) {
		go_http__capture(binary, handling);
		go_http__pass(&routine, handling);
	}
	return 0;
}

/* net/http.HandlerFunc.ServeHTTP(f, w, r): AX, (BX, CX), DI. Routers mostly call one. */
GO_SITE(go_http_handler)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct go_http_handling *handling = go_http__handling(&routine);
	struct sonde_go_http_binary *binary = go_http__binary(hit.file);

	if (!handling || !binary)
		return 0;
	go_http__comes(binary, &routine, handling, GO_ARG3(ctx));
	go_http__capture(binary, handling);
	go_http__keep(handling, go_http__pattern_of(binary, GO_ARG3(ctx)));
	go_http__pass(&routine, handling);
	return 0;
}

/* net/http.(*ServeMux).ServeHTTP(mux, w, r): AX, (BX, CX), DI. */
GO_SITE(go_http_mux)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct go_http_handling *handling = go_http__handling(&routine);
	struct sonde_go_http_binary *binary = go_http__binary(hit.file);

	if (!handling || !binary)
		return 0;
	go_http__comes(binary, &routine, handling, GO_ARG3(ctx));
	handling->mux_request = GO_ARG3(ctx);
	go_http__pass(&routine, handling);
	return 0;
}

/* gin.(*Context).Next(c). */
GO_SITE(go_http_gin)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct go_http_handling *handling = go_http__handling(&routine);
	struct sonde_go_http_binary *binary = go_http__binary(hit.file);
	struct go_string text;

	if (!handling || !binary)
		return 0;
	go_http__comes_with(binary, &routine, handling, GO_ARG0(ctx), binary->gin_request);
	text = go__string(GO_ARG0(ctx) + binary->gin_path);
	if (text.length) {
		handling->pattern.text = text;
		handling->pattern.prefix = 0;
		handling->pattern.router = SONDE_GO_GIN;
		go_http__pass(&routine, handling);
	}
	return 0;
}

static __always_inline int go_http__route(struct pt_regs *ctx, __u32 router, __u64 object)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct go_http_handling *handling = go_http__handling(&routine);
	struct sonde_go_http_binary *binary = go_http__binary(hit.file);

	if (!handling || !binary)
		return 0;
	if (router == SONDE_GO_GIN)
		go_http__comes_with(binary, &routine, handling, object, binary->gin_request);
	else if (router == SONDE_GO_GORILLA)
		go_http__comes(binary, &routine, handling, GO_ARG1(ctx));
	else if (router == SONDE_GO_ECHO)
		go_http__comes_with(binary, &routine, handling, object, binary->echo_request);
	handling->router = router;
	handling->router_object = object;
	return 0;
}

/* gin.(*Engine).handleHTTPRequest(e, c), where it does not call Next. */
GO_SITE(go_http_gin_route)
{
	return go_http__route(ctx, SONDE_GO_GIN, GO_ARG1(ctx));
}

/* chi.(*node).FindRoute(n, rctx, method, path). */
GO_SITE(go_http_chi)
{
	return go_http__route(ctx, SONDE_GO_CHI, GO_ARG1(ctx));
}

/* mux.(*Router).Match(r, req, match). */
GO_SITE(go_http_gorilla)
{
	return go_http__route(ctx, SONDE_GO_GORILLA, GO_ARG2(ctx));
}

/* echo.(*Router).Find(r, method, path, c): AX, (BX, CX), (DI, SI), (R8, R9). */
GO_SITE(go_http_echo)
{
	return go_http__route(ctx, SONDE_GO_ECHO, GO_ARG6(ctx));
}
