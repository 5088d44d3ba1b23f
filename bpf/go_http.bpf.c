// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Requests that Go programs serve by net/http, seen at the server's own functions: two hits a
 * request, whatever lies beneath (TLS, HTTP/2). Plaintext HTTP/1 is read from the sockets; of it
 * only the patterns are told. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/go_http_client.h"
#include "lib/go_http_count.h"
#include "lib/go_http_routing.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define GO_LONGEST_PATTERN 1024

/* Whether it is for us to count, or else for the sockets' decoder. */
static __always_inline bool go_http__ours(__u32 number, __u32 flags)
{
	if (flags & SONDE_GO_HTTP_TLS) {
		GO_HTTP_SAW(number, tls);
		return true;
	}
	if (flags & SONDE_GO_HTTP_2) {
		GO_HTTP_SAW(number, http2_plain);
		return true;
	}
	GO_HTTP_SAW(number, plain);
	return go_http_counts_plain;
}

/* From Go 1.27 on HTTP/2 keeps no reference to the request, which may be gone before its handler
 * is. */
static __always_inline bool go_http__keeps_no_request(const struct sonde_go_http_binary *binary)
{
	return binary->http2[0].writer_state != SONDE_GO_ABSENT &&
	       binary->http2[0].request == SONDE_GO_ABSENT;
}

/* Ends what is under way on this goroutine; the response of HTTP/1 is in `handling` if there was
 * one. */
static __always_inline void go_http__end(struct sonde_go_routine *routine,
					 struct go_http_handling *handling, __u64 request,
					 struct go_http_end *end)
{
	struct sonde_go_http_binary *binary = go_http__binary(handling->binary);
	__u64 start_ns = handling->start_ns, now_ns = bpf_ktime_get_ns();

	handling->start_ns = 0;
	GO_HTTP_COUNT(requests);
	if (!binary ||
	    (!end->copied && !go_http__copy(handling->copy, binary->request_size, request)))
		return;
	if (go_http__at(handling->copy, binary->request_tls))
		end->flags |= SONDE_GO_HTTP_TLS;
	if (!go_http__ours(handling->binary, end->flags))
		return;
	if (!start_ns)
		end->flags |= SONDE_GO_HTTP_NO_START;
	end->since_ns = start_ns;
	end->duration_ns = start_ns ? now_ns - start_ns : 0;
	end->request_bytes = go_http__at(handling->copy, binary->request_length);
	if (!end->status)
		end->status = 200;
	go_http__count(binary, handling, routine->tgid, end);
	go_http__forget(handling);
}

/* A request whose handler did not come back: it panicked, or it took the connection. */
static __always_inline void go_http__end_badly(struct sonde_go_routine *routine,
					       struct go_http_handling *handling, bool http2)
{
	struct sonde_go_http_binary *binary = go_http__binary(handling->binary);
	struct go_http_end end = {.flags = SONDE_GO_HTTP_ABORTED};
	__u8 hijacked = 0;
	__u64 conn;

	/* Its end may have passed while no probe was there. */
	if (!binary || handling->start_ns < binary->since_ns) {
		handling->start_ns = 0;
		return;
	}
	if (http2) {
		end.flags |= SONDE_GO_HTTP_2;
		end.copied = go_http__keeps_no_request(binary);
	} else {
		conn = go__word(handling->writer + binary->response_conn);
		if (conn && go__read(&hijacked, 1, conn + binary->conn_hijacked) && hijacked) {
			end.flags = SONDE_GO_HTTP_HIJACKED;
			end.status = 101;
		}
	}
	go_http__end(routine, handling, handling->request, &end);
}

/* Where no probe sees that a handler of HTTP/2 has panicked, its goroutine's next request tells.
 * What the request was is no longer there. */
static __always_inline void go_http__replaced(struct sonde_go_routine *routine,
					      struct go_http_handling *handling)
{
	struct sonde_go_http_binary *binary = go_http__binary(handling->binary);
	struct sonde_go_http_record *record;

	if (!binary || binary->http2_done || handling->start_ns < binary->since_ns)
		return;
	GO_HTTP_COUNT(requests);
	record = go_http__reserve(SONDE_KIND_GO_HTTP_REQUEST, SONDE_GO_SHORT_RECORD);
	if (!record)
		return;
	__builtin_memset((char *)record + sizeof(record->record), 0,
			 SONDE_GO_SHORT_RECORD - sizeof(record->record));
	record->key.tgid = routine->tgid;
	record->request_bytes = -1;
	record->binary = handling->binary;
	record->slot = service__slot(routine->tgid);
	record->generation = service__generation(record->slot);
	record->flags = SONDE_GO_HTTP_ABORTED | SONDE_GO_HTTP_2 | SONDE_GO_HTTP_STALE;
	go_http__submit(record);
}

static __always_inline int go_http__start(void *ctx, struct sonde_go_routine *routine, __u64 writer,
					  __u64 request, bool http2)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct go_http_handling *handling = go_http__handling(routine);
	struct sonde_go_http_binary *binary;

	if (!handling)
		return 0;
	if (handling->start_ns) {
		/* Both of an HTTP/2 request's functions were seen. */
		if (handling->request == request)
			return 0;
		go_http__replaced(routine, handling);
	}
	handling->binary = hit.file;
	handling->request = request;
	handling->writer = http2 ? 0 : writer;
	go_http__forget(handling);
	binary = go_http__binary(hit.file);
	if (!binary)
		return 0;
	if (handling->transport == SONDE_GO_TRANSPORT_UNKNOWN)
		handling->transport = http2 || go__word(request + binary->request_tls)
					      ? SONDE_GO_TRANSPORT_COVERT
					      : SONDE_GO_TRANSPORT_PLAIN;
	if (go_http__keeps_no_request(binary) &&
	    go_http__copy(handling->copy, binary->request_size, request))
		go_http__keep_texts(binary, handling);
	handling->start_ns = bpf_ktime_get_ns();
	return 0;
}

/* net/http.serverHandler.ServeHTTP(sh, rw, req): AX, (BX, CX), DI. */
GO_SITE(go_http_start)
{
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);

	return go_http__start(ctx, &routine, GO_ARG2(ctx), GO_ARG3(ctx), false);
}

/* (*serverConn).runHandler(sc, rw, req, handler): where handlers are called without the above. */
GO_SITE(go_http2_start)
{
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);

	return go_http__start(ctx, &routine, 0, GO_ARG2(ctx), true);
}

/* net/http.(*response).finishRequest: the handler has returned. */
GO_SITE(go_http_end)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct go_http_handling *handling = go_http__handling(&routine);
	struct sonde_go_http_binary *binary;
	struct go_http_end end = {};

	if (!handling)
		return 0;
	handling->binary = hit.file;
	binary = go_http__binary(handling->binary);
	if (!binary || !go_http__copy(handling->response, binary->response_size, GO_ARG0(ctx))) {
		handling->start_ns = 0;
		return 0;
	}
	end.status = (__u16)go_http__at(handling->response, binary->response_status);
	end.response_bytes = go_http__at(handling->response, binary->response_written);
	go_http__end(&routine, handling, go_http__at(handling->response, binary->response_request),
		     &end);
	return 0;
}

/* The pattern of a request that may be garbage, and another one's memory, by now. */
static __always_inline void go_http__reread_pattern(const struct sonde_go_http_binary *binary,
						    struct go_http_handling *handling,
						    __u64 request)
{
	struct go_string text;

	if (go__word(request + binary->request_url) !=
		    go_http__at(handling->copy, binary->request_url) ||
	    go__word(request + binary->request_headers) !=
		    go_http__at(handling->copy, binary->request_headers))
		return;
	text = go_http__pattern_of(binary, request);
	if (text.length <= GO_LONGEST_PATTERN)
		go_http__keep(handling, text);
}

/* (*responseWriter).handlerDone of an HTTP/2 server. */
GO_SITE(go_http2_end)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct go_http_handling *handling = go_http__handling(&routine);
	struct go_http_end end = {.flags = SONDE_GO_HTTP_2};
	struct sonde_go_http_binary *binary;
	struct sonde_go_http2 *offsets;
	__u64 state, request;

	if (!handling)
		return 0;
	/* Its goroutine ends. */
	handling->transport = SONDE_GO_TRANSPORT_UNKNOWN;
	handling->binary = hit.file;
	binary = go_http__binary(handling->binary);
	if (!binary)
		return 0;
	offsets = hit.site & SONDE_GO_SITE_X_NET ? &binary->http2[1] : &binary->http2[0];
	state = go__word(GO_ARG0(ctx) + offsets->writer_state);
	request = handling->start_ns ? handling->request : 0;
	if (!request && state && offsets->request != SONDE_GO_ABSENT)
		request = go__word(state + offsets->request);
	if (!state || !request) {
		GO_HTTP_COUNT(unreadable);
		handling->start_ns = 0;
		return 0;
	}
	if (offsets->request == SONDE_GO_ABSENT) {
		end.copied = true;
		/* By the mux it is known while it lives. */
		GO_HTTP_SAW(hit.file, serve_mux);
		if (!handling->pattern.text.length)
			go_http__reread_pattern(binary, handling, request);
	}
	end.status = (__u16)go__word(state + offsets->status);
	end.response_bytes = go__word(state + offsets->written);
	go_http__end(&routine, handling, request, &end);
	return 0;
}

/* net/http.(*conn).serve.func1: the connection's goroutine is done. */
GO_SITE(go_http_connection_end)
{
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct go_http_handling *handling = bpf_map_lookup_elem(&go_http_handling, &routine);

	uprobe__hit(ctx);
	if (handling && handling->start_ns)
		go_http__end_badly(&routine, handling, false);
	if (handling)
		handling->transport = SONDE_GO_TRANSPORT_UNKNOWN;
	return 0;
}

/* Where (*serverConn).runHandler.func1 of an HTTP/2 server calls recover: the handler has not come
 * back. */
GO_SITE(go_http2_done)
{
	struct sonde_go_routine routine = GO_ROUTINE_OF(ctx);
	struct go_http_handling *handling = bpf_map_lookup_elem(&go_http_handling, &routine);

	uprobe__hit(ctx);
	if (handling && handling->start_ns)
		go_http__end_badly(&routine, handling, true);
	return 0;
}

static __always_inline int go_http__begins(struct pt_regs *ctx, __u32 flags)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_go_http_begins *begins =
		bpf_ringbuf_reserve(&go_http_ring, sizeof(*begins), 0);

	if (!begins) {
		GO_HTTP_COUNT(lost_ring);
		return 0;
	}
	record__begin(&begins->record, SONDE_KIND_GO_HTTP_BEGINS, sizeof(*begins));
	begins->binary = hit.file;
	begins->flags = flags;
	/* Its first request is on its way. */
	bpf_ringbuf_submit(begins, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* crypto/tls.(*Conn).serverHandshake. */
GO_SITE(go_http_tls_begins)
{
	return go_http__begins(ctx, SONDE_GO_HTTP_TLS);
}

/* (*Server).ServeConn of an HTTP/2 server. */
GO_SITE(go_http2_begins)
{
	return go_http__begins(ctx, SONDE_GO_HTTP_2);
}

/* crypto/tls.(*Conn).clientHandshake; (*Transport).newClientConn of HTTP/2. */
GO_SITE(go_http_client_begins)
{
	return go_http__begins(ctx, SONDE_GO_HTTP_CLIENT);
}
