/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rust's rustls: records as its providers encrypt and decrypt them (0.23). A connection's two keys know
 * nothing of one another, so its streams are the socket's: of what the thread received last, and of what
 * it sends next. */
#pragma once

#include "lib/tls_stream.h"

#define RUST_APPLICATION_DATA 3 /* rustls::ContentType */
#define RUST_CHUNKS	      8

/* Processes that have rustls: their threads are looked at from their first socket on. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} tls_processes SEC(".maps");

/* How many there are; the agent's. */
__u32 tls_process_count = 0;

static __always_inline struct sonde_tls_thread *rust__thread(struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct sonde_tls_thread *thread;

	if (!tls_process_count || !bpf_map_lookup_elem(&tls_processes, &tgid))
		return NULL;
	thread = tls__thread(task, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread)
		thread->in_library = 1;
	return thread;
}

static __always_inline struct sonde_tls_stream *
rust__stream(struct sonde_tls_thread *thread, struct sonde_tls_key *key,
	     const struct sonde_tls_under *under)
{
	struct sonde_tls_stream *stream;

	if (!under->address)
		return NULL;
	key->connection = under->address;
	stream = bpf_map_lookup_elem(&tls_streams, key);
	if (stream && stream->over == under->id)
		return stream;
	return stream__begin(thread, key, under, SONDE_SOCKET_OLDER);
}

struct rust_sent {
	struct sonde_tls_thread *thread;
	struct sonde_tls_stream *stream;
	__u32 tgid;
};

static long rust__piece_sent(__u32 index, struct rust_sent *sent)
{
	struct sonde_tls_thread *thread = sent->thread;

	index &= SONDE_TLS_PIECES - 1;
	thread->base = thread->piece[index].base;
	stream__passed(thread, sent->stream, sent->tgid, SONDE_SOCKET_SENT,
		       thread->piece[index].length);
	return 0;
}

/* The thread sends: what it has encrypted passes. */
static __always_inline void rust__sends(struct sonde_tls_thread *thread, __u32 tgid)
{
	struct sonde_tls_key key = {.tgid = tgid};
	struct rust_sent sent = {.thread = thread, .tgid = tgid};

	sent.stream = rust__stream(thread, &key, &thread->under[SONDE_SOCKET_SENT]);
	if (sent.stream) {
		bpf_loop(thread->pieces, rust__piece_sent, &sent, 0);
		/* A hole, as the positions tell. */
		sent.stream->socket.count[SONDE_SOCKET_SENT] += thread->unkept;
	}
	thread->pieces = 0;
	thread->unkept = 0;
}

static __always_inline void rust__keep(struct sonde_tls_thread *thread, __u64 base, __u64 length)
{
	__u32 index = thread->pieces;

	if (!length)
		return;
	if (index >= SONDE_TLS_PIECES || thread->unkept) {
		thread->unkept += length;
		return;
	}
	thread->piece[index & (SONDE_TLS_PIECES - 1)].base = base;
	thread->piece[index & (SONDE_TLS_PIECES - 1)].length = length;
	thread->pieces = index + 1;
}

/* OutboundPlainMessage: one slice, or a part of several; then the type. */
static __always_inline int rust__encrypts(__u64 message)
{
	struct sonde_tls_thread *thread =
		tls__thread(bpf_get_current_task_btf(), BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct {
		__u64 chunks; /* 0: a single slice follows */
		__u64 second; /* its address, or how many chunks */
		__u64 third;  /* its length, or where the part begins */
		__u64 end;
		__u64 type;
	} plain;
	__u64 passed = 0;

	if (!thread || bpf_probe_read_user(&plain, sizeof(plain), (void *)message) ||
	    (plain.type & 0xff) != RUST_APPLICATION_DATA)
		return 0;
	thread->in_library = 1;
	if (!plain.chunks) {
		rust__keep(thread, plain.second, plain.third);
		return 0;
	}
	for (__u32 i = 0; i < RUST_CHUNKS; i++) {
		struct sonde_tls_piece chunk = {};
		__u64 from, to;

		if (i >= plain.second || passed >= plain.end ||
		    bpf_probe_read_user(&chunk, sizeof(chunk), (void *)(plain.chunks + i * 16)))
			break;
		from = passed > plain.third ? passed : plain.third;
		to = passed + chunk.length < plain.end ? passed + chunk.length : plain.end;
		if (from < to)
			rust__keep(thread, chunk.base + (from - passed), to - from);
		passed += chunk.length;
	}
	if (passed < plain.end)
		thread->unkept += plain.end - (passed > plain.third ? passed : plain.third);
	return 0;
}

/* Result<InboundPlainMessage>: the plaintext, then its type. */
static __always_inline int rust__decrypted(struct pt_regs *regs)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sonde_tls_thread *thread = tls__thread(task, 0);
	struct sonde_tls_key key = {.tgid = task->tgid};
	struct sonde_tls_stream *stream;
	struct sonde_tls_call call;
	__u64 *plain;

	if (!thread)
		return 0;
	/* A word, address, length and type. */
	plain = thread->words;
	if (!tls__leave(thread, &call, PT_REGS_SP(regs)) ||
	    bpf_probe_read_user(plain, 32, (void *)call.buffer) ||
	    (plain[3] & 0xff) != RUST_APPLICATION_DATA || !plain[2] ||
	    plain[2] > SONDE_SOCKET_MAX_CALL)
		return 0;
	stream = rust__stream(thread, &key, &thread->under[SONDE_SOCKET_RECEIVED]);
	if (!stream)
		return 0;
	thread->base = plain[1];
	return stream__passed(thread, stream, key.tgid, SONDE_SOCKET_RECEIVED, plain[2]);
}

static __always_inline int rust__decrypts(struct pt_regs *regs)
{
	struct sonde_tls_thread *thread =
		tls__thread(bpf_get_current_task_btf(), BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct sonde_tls_call call = {.function = SONDE_TLS_READ};

	if (!thread)
		return 0;
	thread->in_library = 1;
	/* Where the result goes is the first argument, hidden in the source. */
	call.buffer = PT_REGS_PARM1(regs);
	call.stack = PT_REGS_SP(regs);
	tls__enter(thread, &call);
	return 0;
}
