/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests of Go's net/http as uprobes see them: bpf/go_http.bpf.c and agent/probes/go_http.cpp. */
#pragma once

#include "sonde/abi.h"
#include "sonde/go_conn.h"
#include "sonde/histogram.h"
#include "sonde/uprobe.h"

#define SONDE_KIND_GO_HTTP_PATTERN SONDE_KIND_FAMILY
#define SONDE_KIND_GO_HTTP_REQUEST (SONDE_KIND_FAMILY + 1)
#define SONDE_KIND_GO_HTTP_BEGINS  (SONDE_KIND_FAMILY + 2)

/* Bits of a site's cookie: it is of golang.org/x/net's HTTP/2, not of net/http's own. */
#define SONDE_GO_SITE_X_NET 1

/* Bytes of a struct that are copied at once; what lies beyond cannot be read. */
#define SONDE_GO_COPY	256
#define SONDE_GO_ABSENT 0xffff

/* Who knows the pattern of a request. */
enum sonde_go_router {
	SONDE_GO_NET_HTTP = 0, /* Request.Pattern, or Request.pat.str in Go 1.22 */
	SONDE_GO_SERVE_MUX =
		1, /* the same of the request that the mux saw: a middleware copied it */
	SONDE_GO_GIN = 2,
	SONDE_GO_CHI = 3,
	SONDE_GO_GORILLA = 4,
	SONDE_GO_ECHO = 5,
	SONDE_GO_GORILLA_PREFIX = 6, /* a route for all that begins like it */
};

/* HTTP/2: net/http's own and golang.org/x/net's may be in one binary. */
struct sonde_go_http2 {
	__u16 writer_state; /* responseWriter.rws */
	__u16 status;	    /* of responseWriterState, as what follows */
	__u16 written;
	__u16 request; /* absent: not the one that has the pattern */
	/* Of its client. */
	__u16 sent_method; /* of what is sent */
	__u16 got;	   /* clientStream.res */
	__u16 got_status;
	__u16 client_conn; /* clientStream.cc */
	__u16 conn;	   /* ClientConn.tconn */
	__u16 unused[3];
};

/* Offsets within structs of one binary, SONDE_GO_ABSENT where it has no such field. */
struct sonde_go_http_binary {
	__u16 request_method;
	__u16 request_url;
	__u16 request_pattern;
	__u16 request_pat; /* Go 1.22 */
	__u16 pat_text;
	__u16 request_tls;
	__u16 request_length;
	__u16 request_size; /* bytes to copy */
	__u16 url_path;
	__u16 response_request;
	__u16 response_status;
	__u16 response_written;
	__u16 response_conn;
	__u16 response_size; /* bytes to copy */
	__u16 conn_hijacked;
	__u16 gin_path;
	__u16 chi_patterns;
	__u16 gorilla_route;	/* of RouteMatch */
	__u16 gorilla_path;	/* of Route: *routeRegexp */
	__u16 gorilla_template; /* of routeRegexp */
	__u16 gorilla_type;
	__u16 echo_path;
	__u16 sent_request; /* transportRequest.Request */
	__u16 got_request;  /* Response.Request */
	__u16 got_status;
	__u16 pool_address; /* persistConn.cacheKey.addr */
	__u16 pool_tls;	    /* persistConn.tlsState */
	__u16 pool_conn;    /* persistConn.conn */
	struct sonde_go_http2 http2[2];
	__u16 http2_done; /* 1: a probe sees the end of handlers of HTTP/2 that panic */
	__u16 request_headers;
	struct sonde_go_conn conn;
	__u16 gin_request;    /* of Context */
	__u16 echo_request;   /* of context */
	__u16 routine_number; /* g.goid */
	__u16 unused[3];
	/* Since when starts and ends are seen without a gap: the agent's, when it attaches. */
	__u64 since_ns;
};

/* Methods that are counted by number; others come as records. */
enum sonde_go_method {
	SONDE_GO_METHOD_OTHER = 0,
	SONDE_GO_GET = 1,
	SONDE_GO_HEAD = 2,
	SONDE_GO_POST = 3,
	SONDE_GO_PUT = 4,
	SONDE_GO_DELETE = 5,
	SONDE_GO_PATCH = 6,
	SONDE_GO_OPTIONS = 7,
	SONDE_GO_CONNECT = 8,
	SONDE_GO_TRACE = 9,
	SONDE_GO_METHODS = 10,
};

/* What requests are counted by. The pattern is known by the address of its text, which lives as
 * long as the router. */
struct sonde_go_http_key {
	__u64 pattern; /* never 0 */
	__u32 tgid;
	__u32 prefix; /* of a router within a router: low half of the address of the outer one's */
	__u16 pattern_length;
	__u16 status;
	__u8 method; /* enum sonde_go_method */
	__u8 router; /* enum sonde_go_router */
	__u16 unused;
};

/* Of one CPU. Durations have the bounds of the agent, ns; sizes likewise, bytes. */
struct sonde_go_http_counts {
	__u64 requests;
	__u64 unused;
	struct sonde_histogram durations; /* not of requests that were under way when it attached */
	struct sonde_histogram request_sizes; /* not of unknown length */
	struct sonde_histogram response_sizes;
};

/* Requests of a client. */
struct sonde_go_client_key {
	__u32 tgid;
	__u16 slot;
	__u16 generation;
	__u32 unused;
	__u16 status;
	__u8 method;
	__u8 peer_length; /* SONDE_GO_PEER_ADDRESS, or of the server's name */
	char peer[SONDE_GO_PEER];
};

/* One under way. Of a client: the *Request that its answer leads back to, HTTP/2: its
 * *clientStream; of a server's that is handled on another goroutine: its headers. What is kept of
 * it begins with when it was seen. */
struct sonde_go_request {
	__u64 request;
	__u32 tgid;
	__u32 padding;
};

struct sonde_go_client_counts {
	__u64 requests;
	__u64 unused;
	struct sonde_histogram durations;
};

#define SONDE_GO_HTTP_TLS      1
#define SONDE_GO_HTTP_2	       2
#define SONDE_GO_HTTP_ABORTED  4   /* the handler panicked */
#define SONDE_GO_HTTP_HIJACKED 8   /* the handler took the connection */
#define SONDE_GO_HTTP_NO_START 16  /* it began before the probes: without duration */
#define SONDE_GO_HTTP_LEARNING 32  /* said before the response: no request is counted by it */
#define SONDE_GO_HTTP_CLIENT   64  /* TLS that the process itself begins */
#define SONDE_GO_HTTP_STALE    128 /* nothing is known of it but that it was */

#define SONDE_GO_PATTERN    128
#define SONDE_GO_PATH	    256
#define SONDE_GO_SHORT_PATH 64

/* PATTERN: the text of a pattern, before the first request is counted by it. REQUEST: one that
 * is not counted in the kernel. */
struct sonde_go_http_record {
	struct sonde_record record;
	struct sonde_go_http_key key;
	__u64 duration_ns;
	__s64 request_bytes; /* negative: unknown */
	__u64 response_bytes;
	__u32 binary;
	__u16 slot;
	__u16 generation;
	__u16 path_length;
	__u8 method_length;
	__u8 flags;
	char method[16];
	/* A short record ends after the first SONDE_GO_SHORT_PATH bytes of the path. */
	char path[SONDE_GO_PATH];
	char pattern[SONDE_GO_PATTERN];
	__u32 unused;
};

#define SONDE_GO_SHORT_RECORD                                                                      \
	(__builtin_offsetof(struct sonde_go_http_record, path) + SONDE_GO_SHORT_PATH)

/* A connection begins whose requests are not for the sockets' decoder. */
struct sonde_go_http_begins {
	struct sonde_record record;
	__u32 binary;
	__u32 flags; /* SONDE_GO_HTTP_TLS or _2 of a server, SONDE_GO_HTTP_CLIENT */
};

/* Of a goroutine's connection, as long as that lasts. */
enum sonde_go_transport {
	SONDE_GO_TRANSPORT_UNKNOWN = 0,
	SONDE_GO_TRANSPORT_PLAIN = 1,
	SONDE_GO_TRANSPORT_COVERT = 2, /* TLS, or HTTP/2: not the sockets' to count */
};

/* How what is known of a goroutine that handles requests begins. */
struct sonde_go_http_under_way {
	__u64 start_ns; /* 0: no request that began is under way */
	__u64 request;
	__u64 writer; /* *response; 0: HTTP/2 */
	__u32 binary;
	__u32 transport; /* enum sonde_go_transport */
};

/* What requests of a binary were like since the agent last cleared it. */
struct sonde_go_http_seen {
	__u32 plain;
	__u32 tls;
	__u32 http2_plain;
	__u32 unrouted;	  /* responses without a pattern */
	__u32 client_tls; /* requests that were sent */
	__u32 serve_mux;  /* requests whose pattern only the mux's own copy has */
	__u32 client_plain;
	__u32 unused;
};

struct sonde_go_http_row {
	__u64 requests; /* ends of requests, counted or not */
	__u64 clients;
	__u64 lost_ring;
	__u64 lost_counts; /* no room for another pattern, method or status: came as records */
	__u64 lost_state;  /* no room for what is under way */
	__u64 unreadable;
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_go_http_binary) == 136, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_go_http_key) == 24, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_go_http_counts) == 832, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_go_client_key) == 80, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_go_http_record) == 480, "wire format");
SONDE_STATIC_ASSERT(SONDE_GO_SHORT_RECORD == 156, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_go_http_row) == 48, "wire format");
