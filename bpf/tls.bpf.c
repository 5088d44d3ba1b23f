// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Plaintext of TLS connections, where a library reads and writes it: at the begin and the end of its
 * functions, as streams of the socket tap. Runs in the task that made the call. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lib/tls_go.h"
#include "lib/tls_rust.h"
#include "lib/tls_stream.h"
#include "lib/tls_waits.h"
#include "lib/uprobe.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The connection is gone. What lies over a socket ends with that. */
static __always_inline int freed(__u64 connection, __u32 tgid)
{
	struct sonde_tls_key key = {.connection = connection, .tgid = tgid};
	struct sonde_tls_stream *stream = bpf_map_lookup_elem(&tls_streams, &key);
	struct sonde_socket_closed *closed;

	if (!stream)
		return 0;
	if (stream->address) {
		__u64 address = stream->address;
		struct sonde_tls_key *over = bpf_map_lookup_elem(&tls_over, &address);

		if (over && over->connection == connection && over->tgid == tgid)
			bpf_map_delete_elem(&tls_over, &address);
	} else if (stream->socket.id) {
		closed = socket__reserve(SONDE_KIND_SOCKET_CLOSED, sizeof(*closed));
		if (closed) {
			closed->socket = stream->socket.id;
			closed->how = SONDE_SOCKET_CLOSED_HERE;
			closed->verdict = stream->socket.verdict;
			socket__submit(closed);
		}
	}
	bpf_map_delete_elem(&tls_streams, &key);
	return 0;
}

static __always_inline int called(struct pt_regs *regs, __u32 cookie)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sonde_tls_call call = {};
	struct sonde_tls_thread *thread;
	__u64 fourth, fifth;

	if (service__slot(task->tgid) == SONDE_SLOT_AGENT)
		return 0;
	call.connection = PT_REGS_PARM1(regs);
	call.function = cookie;
	if (call.function == SONDE_TLS_FREE)
		return freed(call.connection, task->tgid);
	if (call.function == SONDE_TLS_SHUTDOWN)
		return tls__ended(call.connection, task->tgid, SONDE_SOCKET_SENT);
	thread = tls__thread(task, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread)
		return 0;
	thread->in_library = 1;
	call.length = cookie >> 8;
	call.buffer = PT_REGS_PARM2(regs);
	fourth = PT_REGS_PARM4(regs);
	fifth = PT_REGS_PARM5(regs);
	/* Of one of two places in the context the compiler would choose the address. */
	barrier_var(fourth);
	barrier_var(fifth);
	call.length_at = call.length == SONDE_TLS_BEHIND_FIFTH ? fifth : fourth;
	call.stack = PT_REGS_SP(regs);
	tls__enter(thread, &call);
	return 0;
}

/* How many bytes the call has moved. */
static __always_inline __u32 moved(const struct sonde_tls_call *call, __s64 result)
{
	__u64 length = 0;

	if (call->function == SONDE_TLS_SENDFILE)
		return result > 0 ? result : 0;
	/* An int. */
	if ((__s32)result <= 0)
		return 0;
	if (call->length == SONDE_TLS_RETURNED)
		return (__s32)result;
	if (bpf_probe_read_user(&length, sizeof(length), (void *)call->length_at))
		return 0;
	return length > 0x7fffffff ? 0 : length;
}

/* By the peer's word (close_notify), or without. */
static __always_inline bool ends(const struct sonde_tls_call *call, __s32 result)
{
	return call->function == SONDE_TLS_READ && result == 0 &&
	       call->length != SONDE_TLS_BEHIND_FOURTH_OR_0;
}

static __always_inline int returned(struct pt_regs *regs)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sonde_tls_thread *thread = tls__thread(task, 0);
	const struct sonde_tls_under *under = NULL;
	struct sonde_tls_key key = {.tgid = task->tgid};
	struct sonde_tls_stream *stream;
	struct sonde_tls_call call;
	__u32 bytes = 0;

	if (!thread || !tls__leave(thread, &call, PT_REGS_SP(regs)))
		return 0;
	if (call.under)
		under = &thread->under[(call.under - 1) & 1];
	if (call.function != SONDE_TLS_HANDSHAKE) {
		bytes = moved(&call, PT_REGS_RC(regs));
		if (!bytes && ends(&call, PT_REGS_RC(regs)))
			return tls__ended(call.connection, key.tgid, SONDE_SOCKET_RECEIVED);
		if (!bytes)
			return 0;
	}
	key.connection = call.connection;
	stream = stream__find(thread, &key, under, call.function);
	if (call.function == SONDE_TLS_READ)
		thread->received = 0;
	if (!stream || !bytes)
		return 0;
	thread->base = call.function == SONDE_TLS_SENDFILE ? 0 : call.buffer;
	return stream__passed(thread, stream, key.tgid,
			      call.function == SONDE_TLS_READ ? SONDE_SOCKET_RECEIVED
							      : SONDE_SOCKET_SENT,
			      bytes);
}

SEC("uprobe.multi")
int tls_called(struct pt_regs *regs)
{
	return called(regs, uprobe__hit(regs).site);
}

SEC("uprobe.multi")
int tls_returned(struct pt_regs *regs)
{
	uprobe__hit(regs);
	return returned(regs);
}

SEC("uprobe.multi")
int tls_copies(struct pt_regs *regs)
{
	uprobe__hit(regs);
	return waits__copy(regs);
}

SEC("uprobe.multi")
int tls_read_returned(struct pt_regs *regs)
{
	uprobe__hit(regs);
	return waits__returned(regs);
}

/* Plaintext that crypto/tls is about to hand to its reader. */
SEC("uprobe.multi")
int tls_go_read(struct pt_regs *regs)
{
	return go__reads(regs, uprobe__hit(regs).site);
}

/* A record that crypto/tls is about to encrypt. */
GO_SITE(tls_go_written)
{
	uprobe__hit(ctx);
	return go__writes(ctx);
}

SEC("uprobe.multi")
int tls_rust_encrypts(struct pt_regs *regs)
{
	uprobe__hit(regs);
	return rust__encrypts(regs);
}

SEC("uprobe.multi")
int tls_rust_decrypts(struct pt_regs *regs)
{
	uprobe__hit(regs);
	return rust__decrypts(regs);
}

SEC("uprobe.multi")
int tls_rust_decrypted(struct pt_regs *regs)
{
	uprobe__hit(regs);
	return rust__decrypted(regs);
}

/* The running thread uses a socket. Within a call of the library it is that call's; outside it may
 * be that of the next one, where the library is fed from memory. */
static __always_inline int tls__uses(struct sock *sk, int bytes, const int direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sonde_tls_thread *thread = tls__thread(task, 0);
	struct sonde_tls_under *under;
	struct sonde_socket *socket;
	int transport, inner;

	if (!thread)
		thread = tls__known_thread(task);
	if (!thread || !thread->in_library)
		return 0;
	transport = socket__transport(sk);
	if (transport < 0)
		return 0;
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	/* The tap has announced it before, in this very call if it is the first. But before 6.3 its
	 * program comes after this one: rustls' streams get on with the address. */
	if (!socket || !socket->id) {
		if (!thread->encrypter && !tls__is_known(task->tgid))
			return 0;
		socket = NULL;
	}
	under = &thread->under[direction];
	under->id = socket ? socket->id : 0;
	under->address = (__u64)sk;
	under->verdict = socket ? socket->verdict : 0;
	inner = thread->calls[1].stack != 0;
	if (thread->calls[inner & 1].stack)
		thread->calls[inner & 1].under = direction + 1;
	else if (direction == SONDE_SOCKET_RECEIVED && bytes > 0)
		thread->received = 1;
	if (direction == SONDE_SOCKET_SENT && thread->encrypter)
		rust__sends(thread, task->tgid);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(tls_sent, struct sock *sk, int ret, int flags)
{
	return tls__uses(sk, ret, SONDE_SOCKET_SENT);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(tls_received, struct sock *sk, int ret, int flags)
{
	return tls__uses(sk, ret, SONDE_SOCKET_RECEIVED);
}

/* Before 6.3 there are no tracepoints of the lengths. */
static __always_inline int used(__u64 *ctx, struct sock *sk, const int direction)
{
	__u64 bytes = 0;

	bpf_get_func_ret(ctx, &bytes);
	return tls__uses(sk, (int)bytes, direction);
}

SEC("fexit/tcp_sendmsg")
int tls_tcp_sent(__u64 *ctx)
{
	return used(ctx, (struct sock *)ctx[0], SONDE_SOCKET_SENT);
}

SEC("fexit/tcp_recvmsg")
int tls_tcp_received(__u64 *ctx)
{
	return used(ctx, (struct sock *)ctx[0], SONDE_SOCKET_RECEIVED);
}

static __always_inline int gone(struct sock *sk)
{
	__u64 address = (__u64)sk;
	struct sonde_tls_key *found = bpf_map_lookup_elem(&tls_over, &address), key, encrypts = {};
	struct sonde_tls_stream *stream;

	if (!found)
		return 0;
	key = *found;
	bpf_map_delete_elem(&tls_over, &address);
	stream = bpf_map_lookup_elem(&tls_streams, &key);
	if (!stream || stream->address != address)
		return 0;
	encrypts.connection = stream->encrypter;
	bpf_map_delete_elem(&tls_streams, &key);
	encrypts.tgid = key.tgid;
	if (encrypts.connection)
		rust__forget_key(&encrypts, address);
	return 0;
}

/* The socket is gone, and with it what lay over it. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tls_destroyed, struct sock *sk)
{
	return gone(sk);
}

/* MPTCP has no such event. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tls_closed, struct sock *sk, int from, int to)
{
	return to == BPF_TCP_CLOSE && sk->sk_protocol == SONDE_IPPROTO_MPTCP ? gone(sk) : 0;
}
