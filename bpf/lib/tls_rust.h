/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rust's rustls: records as its providers encrypt and decrypt them (0.20 to 0.23). A connection's two
 * keys know nothing of one another, so its streams are the socket's: decrypted is what the thread received
 * last, and who encrypts is known by what the thread sends next, from then on for good. Which message lies
 * there, and in which order the compiler laid out its fields, the message says itself: where it is of no known form, nothing is taken. */
#pragma once

#include "lib/tls_stream.h"

#define RUST_APPLICATION_DATA 3 /* rustls::ContentType */
#define RUST_TLS12	      4 /* rustls::ProtocolVersion */
#define RUST_TLS13	      5
#define RUST_CHUNKS	      8
/* No process has memory below (vm.mmap_min_addr), and no record is so large. */
#define RUST_LOWEST 65536
/* What TLS 1.2 puts before the ciphertext may stay before the plaintext. */
#define RUST_NONCE 8

/* The sockets of what encrypts, by its address. One whose memory another key got begins with its number 0,
 * and is forgotten then; others when their socket gets another, or is gone. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TLS_STREAMS);
	__type(key, struct sonde_tls_key);
	__type(value, struct sonde_tls_under);
} tls_keys SEC(".maps");

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

/* What waits in the thread belongs to nobody any more. */
static __always_inline void rust__forget(struct sonde_tls_thread *thread)
{
	thread->encrypter = 0;
	thread->new_key = 0;
	thread->pieces = 0;
	thread->unkept = 0;
}

/* What the thread has encrypted passes. */
static __always_inline void rust__passes(struct sonde_tls_thread *thread,
					 struct sonde_tls_stream *stream, __u32 tgid)
{
	struct rust_sent sent = {.thread = thread, .stream = stream, .tgid = tgid};

	bpf_loop(thread->pieces, rust__piece_sent, &sent, 0);
	/* A hole, as the positions tell. */
	stream->socket.count[SONDE_SOCKET_SENT] += thread->unkept;
	rust__forget(thread);
}

/* The stream of the socket that the key was seen to encrypt for. */
static __always_inline struct sonde_tls_stream *rust__stream_of(const struct sonde_tls_key *key)
{
	const struct sonde_tls_under *under = bpf_map_lookup_elem(&tls_keys, key);
	struct sonde_tls_key of = {.tgid = key->tgid};
	struct sonde_tls_stream *stream;

	if (!under)
		return NULL;
	of.connection = under->address;
	stream = bpf_map_lookup_elem(&tls_streams, &of);
	return stream && stream__lies_over(stream, under) ? stream : NULL;
}

/* The key encrypts for this socket no more. Its memory may have another connection's by now. */
static __always_inline void rust__forget_key(const struct sonde_tls_key *key, __u64 address)
{
	const struct sonde_tls_under *under = bpf_map_lookup_elem(&tls_keys, key);

	if (under && under->address == address)
		bpf_map_delete_elem(&tls_keys, key);
}

/* The thread sends, after it has encrypted with a key of unknown socket: it is this one. But a socket that
 * takes no more is not tried, and then this is another connection's: where the socket has a key already
 * that nothing has replaced, one of the two is wrong, and both are forgotten. */
static __always_inline void rust__sends(struct sonde_tls_thread *thread, __u32 tgid)
{
	struct sonde_tls_under *under = &thread->under[SONDE_SOCKET_SENT];
	struct sonde_tls_key key = {.tgid = tgid}, encrypts = {.tgid = tgid};
	struct sonde_tls_stream *stream = stream__of_socket(thread, &key, under);

	encrypts.connection = thread->encrypter;
	if (!stream) {
		rust__forget(thread);
		return;
	}
	if (stream->encrypter && stream->encrypter != encrypts.connection) {
		encrypts.connection = stream->encrypter;
		rust__forget_key(&encrypts, under->address);
		if (!thread->new_key) {
			stream->encrypter = 0;
			rust__forget(thread);
			return;
		}
		encrypts.connection = thread->encrypter;
	}
	stream->encrypter = encrypts.connection;
	bpf_map_update_elem(&tls_keys, &encrypts, under, BPF_ANY);
	rust__passes(thread, stream, tgid);
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

static __always_inline bool rust__is_version(__u16 version)
{
	return version == RUST_TLS12 || version == RUST_TLS13;
}

/* The type and the version that end each message: the type first or, from rustc 1.63 and always behind a
 * Vec, the version. What either leaves free is not initialised. */
static __always_inline bool rust__is_data(__u64 end)
{
	if ((end & 0xff) == RUST_APPLICATION_DATA)
		return rust__is_version(end >> 16);
	return rust__is_version(end) && (end >> 32 & 0xff) == RUST_APPLICATION_DATA;
}

/* A part of several slices. */
static __always_inline void rust__keep_chunks(struct sonde_tls_thread *thread, __u64 chunks,
					      __u64 count, __u64 start, __u64 end)
{
	__u64 passed = 0;

	for (__u32 i = 0; i < RUST_CHUNKS; i++) {
		struct sonde_tls_piece chunk = {};
		__u64 from, to;

		if (i >= count || passed >= end ||
		    bpf_probe_read_user(&chunk, sizeof(chunk), (void *)(chunks + i * 16)))
			break;
		from = passed > start ? passed : start;
		to = passed + chunk.length < end ? passed + chunk.length : end;
		if (from < to)
			rust__keep(thread, chunk.base + (from - passed), to - from);
		passed += chunk.length;
	}
	if (passed < end)
		thread->unkept += end - (passed > start ? passed : start);
}

/* BorrowedPlainMessage, a slice, or (0.23) OutboundPlainMessage: a slice behind a 0, or several, which
 * rustc 1.63 puts behind a 1. */
static __always_inline void rust__keep_message(struct sonde_tls_thread *thread, __u64 message)
{
	__u64 *plain = thread->words;

	if (bpf_probe_read_user(plain, sizeof(thread->words), (void *)message))
		return;
	if (plain[0] > 1 && rust__is_data(plain[2]))
		rust__keep(thread, plain[0], plain[1]);
	else if (plain[0] == 0 && (rust__is_data(plain[4]) || rust__is_data(plain[5])))
		rust__keep(thread, plain[1], plain[2]);
	else if (plain[0] == 1 && rust__is_data(plain[5]))
		rust__keep_chunks(thread, plain[1], plain[2], plain[3], plain[4]);
	else if (plain[0] > 1 && rust__is_data(plain[4]))
		rust__keep_chunks(thread, plain[0], plain[1], plain[2], plain[3]);
}

/* The result, the key, the message, its number. */
static __always_inline int rust__encrypts(struct pt_regs *regs)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sonde_tls_thread *thread = tls__thread(task, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct sonde_tls_key key = {.connection = PT_REGS_PARM2(regs), .tgid = task->tgid};
	struct sonde_tls_stream *stream;

	if (!thread)
		return 0;
	thread->in_library = 1;
	if (thread->encrypter != key.connection)
		rust__forget(thread);
	thread->encrypter = key.connection;
	if (!PT_REGS_PARM4(regs)) {
		bpf_map_delete_elem(&tls_keys, &key);
		thread->new_key = 1;
	}
	rust__keep_message(thread, PT_REGS_PARM3(regs));
	stream = rust__stream_of(&key);
	if (stream)
		rust__passes(thread, stream, key.tgid);
	return 0;
}

/* Result<PlainMessage> or Result<InboundPlainMessage>: what lies where the ciphertext did. */
static __always_inline bool rust__plaintext(const __u64 *result, const struct sonde_tls_call *call,
					    __u64 *base, __u64 *bytes)
{
	for (int i = 0; i < 3; i++) {
		const __u64 *length = &result[i + 1];

		if (result[i] - call->buffer > RUST_NONCE)
			continue;
		if (call->length == 2)
			length++;
		*base = result[i];
		*bytes = length[0];
		return rust__is_data(length[1]);
	}
	return false;
}

static __always_inline int rust__decrypted(struct pt_regs *regs)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sonde_tls_thread *thread = tls__thread(task, 0);
	struct sonde_tls_key key = {.tgid = task->tgid};
	struct sonde_tls_stream *stream;
	struct sonde_tls_call call;
	__u64 *result, base = 0, bytes = 0;

	if (!thread)
		return 0;
	result = thread->words;
	if (!tls__leave(thread, &call, PT_REGS_SP(regs)) ||
	    bpf_probe_read_user(result, sizeof(thread->words), (void *)call.length_at) ||
	    !rust__plaintext(result, &call, &base, &bytes) || !bytes || bytes > SONDE_SOCKET_MAX_CALL)
		return 0;
	stream = stream__of_socket(thread, &key, &thread->under[SONDE_SOCKET_RECEIVED]);
	if (!stream)
		return 0;
	thread->base = base;
	return stream__passed(thread, stream, key.tgid, SONDE_SOCKET_RECEIVED, bytes);
}

/* InboundOpaqueMessage (0.23), a slice, or OpaqueMessage, a Vec of which the compiler chose the order:
 * what is decrypted stays where it lies, and the result has that order. */
static __always_inline int rust__decrypts(struct pt_regs *regs)
{
	struct sonde_tls_thread *thread =
		tls__thread(bpf_get_current_task_btf(), BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct sonde_tls_call call = {.function = SONDE_TLS_READ, .length = 1};
	__u64 *opaque;

	if (!thread)
		return 0;
	thread->in_library = 1;
	opaque = thread->words;
	/* Where the result goes is the first argument, hidden in the source. */
	if (bpf_probe_read_user(opaque, 32, (void *)PT_REGS_PARM3(regs)))
		return 0;
	call.buffer = opaque[0];
	if (!rust__is_data(opaque[2])) {
		if (!rust__is_data(opaque[3]))
			return 0;
		/* Capacity, address, length; from rustc 1.63 the address is the first. */
		if (opaque[0] < RUST_LOWEST)
			call.buffer = opaque[1];
		else
			call.length = 2;
	}
	call.length_at = PT_REGS_PARM1(regs);
	call.stack = PT_REGS_SP(regs);
	tls__enter(thread, &call);
	return 0;
}
