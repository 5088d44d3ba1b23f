// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What passes through stream sockets: a record for each send and receive, as far as the agent wants
 * it. Runs in the task that made the call, after it, so its bytes lie in the caller's memory. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lib/socket_call.h"
#include "lib/socket_report.h"
#include "lib/socket_state.h"
#include "lib/socket_syscall.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SONDE_MSG_PEEK	2
#define SONDE_MSG_TRUNC 0x20

static __always_inline int end_of_stream(struct sock *sk, struct socket_order *call, __u64 wish)
{
	if ((wish >> 32 & 7) == SONDE_SOCKET_IGNORE || !(sk->sk_shutdown & SONDE_RCV_SHUTDOWN))
		return 0;
	call->flags = SONDE_SOCKET_END;
	call__cover(call, 0);
	return 0;
}

/* The two programs of each length are attached: what the first one missed while another was
 * preempted under it (lib/twice.h) the second one sees. */
const volatile bool attached_twice = false;

/* True when the call is this program's to report. */
static __always_inline bool is_mine(struct sonde_socket *socket, int direction, const bool again)
{
	__u32 *done = &socket->done[direction & 1], task;

	if (!attached_twice)
		return true;
	task = bpf_get_current_pid_tgid();
	if (!again) {
		*done = task;
		return true;
	}
	if (*done != task)
		return true;
	*done = 0;
	return false;
}

/* `bytes` have been sent or received by the running task. */
static __always_inline int passed(struct sock *sk, int bytes, int flags, const int direction,
				  const bool again)
{
	struct socket_order call = {.direction = direction, .flags = SONDE_SOCKET_STARTS_CALL};
	struct task_struct *task = bpf_get_current_task_btf();
	int transport = socket__transport(sk);
	struct socket_place place = {};
	struct sonde_socket *socket;
	struct tcp_sock *tp;
	__u32 role = 0;
	__u64 wish;

	if (bytes < 0 || transport < 0 || (flags & SONDE_MSG_PEEK) ||
	    (bytes == 0 && direction == SONDE_SOCKET_SENT) || (task->flags & SONDE_PF_KTHREAD))
		return 0;
	if (!again)
		SOCKET_COUNT(calls[direction]);
	call.tgid = task->tgid;
	call.slot = service__slot(call.tgid);
	if (call.slot == SONDE_SLOT_AGENT)
		return 0;
	socket = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!socket) {
		SOCKET_COUNT(no_storage);
		return 0;
	}
	if (!is_mine(socket, direction, again))
		return 0;
	if (again)
		SOCKET_COUNT(calls[direction]);
	if (!socket->id)
		role = socket__role(sk, transport);
	tp = transport == SONDE_SOCKET_TCP ? bpf_skc_to_tcp_sock(sk) : NULL;
	if (tp)
		place__tcp(&place, socket, tp, sk, direction, bytes);
	else
		place__counted(&place, socket, direction, bytes);
	if (!socket->id &&
	    !socket__announce(sk, socket, &place, transport, role, call.tgid, call.slot))
		return 0;
	wish = wish_of(socket, direction);
	call.socket = socket->id;
	call.generation = service__generation(call.slot);
	call.position = place.position;
	call.left = bytes;
	if (bytes == 0)
		return end_of_stream(sk, &call, wish);
	if ((wish >> 32 & 7) == SONDE_SOCKET_IGNORE)
		return 0;
	/* What was received is thrown away, not in the caller's memory (tcp(7)). */
	if (flags & SONDE_MSG_TRUNC && direction == SONDE_SOCKET_RECEIVED)
		wish = sonde_socket_wish(SONDE_SOCKET_SIZES, 0, 0, false, 0);
	report(socket, &call, wish);
	return 0;
}

static __always_inline int listens(struct sock *sk)
{
	struct sonde_socket_port port = {.port = sk->__sk_common.skc_num};
	__u32 one = 1;

	port.netns = sk->__sk_common.skc_net.net->ns.inum;
	bpf_map_update_elem(&socket_ports, &port, &one, BPF_ANY);
	return 0;
}

static __always_inline int report_closed(struct sonde_socket *socket, __u32 how)
{
	struct sonde_socket_closed *closed;

	if (!socket->id || (socket->state & SONDE_SOCKET_CLOSED))
		return 0;
	socket->state |= SONDE_SOCKET_CLOSED;
	closed = socket__reserve(SONDE_KIND_SOCKET_CLOSED, sizeof(*closed));
	if (!closed)
		return 0;
	closed->socket = socket->id;
	closed->how = how;
	closed->verdict = socket->verdict;
	socket__submit(closed);
	return 0;
}

/* The kernel closes in one step on a reset; an orderly close passes through the states named here,
 * and which side began is in the first of them. */
static __always_inline __u32 how_closed(struct sock *sk, int from, int to)
{
	if (sk->sk_err || (to == BPF_TCP_CLOSE &&
			   (from == BPF_TCP_ESTABLISHED || from == BPF_TCP_CLOSE_WAIT)))
		return SONDE_SOCKET_CLOSED_RESET;
	if (to == BPF_TCP_LAST_ACK || from == BPF_TCP_LAST_ACK || from == BPF_TCP_CLOSE_WAIT)
		return SONDE_SOCKET_CLOSED_THERE;
	return SONDE_SOCKET_CLOSED_HERE;
}

/* The states that these lead to are entered by close(2) and by shutdown(2), after which more may be
 * read. */
static __always_inline bool lets_go(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 nr = call__number(task, (struct pt_regs *)bpf_task_pt_regs(task));

	return (task->flags & SONDE_PF_EXITING) || nr == NR_CLOSE || nr == NR_CLOSE_RANGE ||
	       nr == NR_DUP2 || nr == NR_DUP3;
}

/* A connection that has ended may still have bytes that nobody has read: the socket is closed once
 * its process has let go of it, at tcp_destroy_sock at the latest. MPTCP has no such event. */
static __always_inline int changed(struct sock *sk, int from, int to)
{
	struct sonde_socket *socket;
	int transport;
	__u32 how;

	if (to == BPF_TCP_LISTEN)
		return listens(sk);
	if (to != BPF_TCP_ESTABLISHED && to != BPF_TCP_CLOSE && to != BPF_TCP_FIN_WAIT1 &&
	    to != BPF_TCP_LAST_ACK)
		return 0;
	transport = socket__transport(sk);
	if (to == BPF_TCP_ESTABLISHED) {
		if (transport >= 0)
			socket__established(sk, transport);
		return 0;
	}
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!socket)
		return 0;
	how = how_closed(sk, from, to);
	if (to == BPF_TCP_CLOSE) {
		socket->how = how;
		if (transport == SONDE_SOCKET_MPTCP ||
		    (sk->__sk_common.skc_flags & (1ul << SOCK_DEAD)))
			return report_closed(socket, how);
		return 0;
	}
	return lets_go() ? report_closed(socket, how) : 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_sent, struct sock *sk, int ret, int flags)
{
	return passed(sk, ret, flags, SONDE_SOCKET_SENT, false);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_sent_again, struct sock *sk, int ret, int flags)
{
	return passed(sk, ret, flags, SONDE_SOCKET_SENT, true);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_received, struct sock *sk, int ret, int flags)
{
	return passed(sk, ret, flags, SONDE_SOCKET_RECEIVED, false);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_received_again, struct sock *sk, int ret, int flags)
{
	return passed(sk, ret, flags, SONDE_SOCKET_RECEIVED, true);
}

/* Twice: a soft interrupt that closes a socket while a task's change is looked at passes the first
 * one by (tcp.bpf.c). */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_changed, struct sock *sk, int from, int to)
{
	return changed(sk, from, to);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_changed_within, struct sock *sk, int from, int to)
{
	return changed(sk, from, to);
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(socket_destroyed, struct sock *sk)
{
	struct sonde_socket *socket = bpf_sk_storage_get(&sockets, sk, 0, 0);

	return socket ? report_closed(socket, socket->how) : 0;
}

/* Sockets that were there before: listeners give roles, and where the kernel keeps no positions the
 * first bytes seen are not the first ones. */
SEC("iter/task_file")
int socket_find(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct sonde_socket *socket;
	struct socket *found;
	int transport;
	struct sock *sk;

	if (!ctx->task || !file)
		return 0;
	found = bpf_sock_from_file(file);
	sk = found ? found->sk : NULL;
	transport = sk ? socket__transport(sk) : -1;
	if (transport < 0)
		return 0;
	if (sk->__sk_common.skc_state == BPF_TCP_LISTEN && transport != SONDE_SOCKET_UNIX)
		return listens(sk);
	if (transport == SONDE_SOCKET_TCP)
		return 0;
	socket = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (socket && !socket->id)
		socket->state |= SONDE_SOCKET_OLDER;
	return 0;
}

/* The ids of the sockets that still exist: AF_UNIX has no event for the end of one. */
SEC("iter/bpf_sk_storage_map")
int socket_alive(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sonde_socket *socket = ctx->value;

	if (socket && socket->id)
		bpf_seq_write(ctx->meta->seq, &socket->id, sizeof(socket->id));
	return 0;
}

/* Before 6.3 there are no tracepoints of the lengths: the protocols' functions, at their ends. Their
 * arguments change from kernel to kernel; the first ones and the flags are what matters. */
const volatile bool flags_are_fifth = false;

static __always_inline int returned(__u64 *ctx, struct sock *sk, const int direction)
{
	__u64 bytes = 0, flags = 0;

	if (direction == SONDE_SOCKET_RECEIVED)
		bpf_get_func_arg(ctx, flags_are_fifth ? 4 : 3, &flags);
	bpf_get_func_ret(ctx, &bytes);
	return passed(sk, (int)bytes, flags, direction, false);
}

SEC("fexit/tcp_sendmsg")
int socket_tcp_sent(__u64 *ctx)
{
	return returned(ctx, (struct sock *)ctx[0], SONDE_SOCKET_SENT);
}

SEC("fexit/tcp_recvmsg")
int socket_tcp_received(__u64 *ctx)
{
	return returned(ctx, (struct sock *)ctx[0], SONDE_SOCKET_RECEIVED);
}

SEC("fexit/mptcp_sendmsg")
int socket_mptcp_sent(__u64 *ctx)
{
	return returned(ctx, (struct sock *)ctx[0], SONDE_SOCKET_SENT);
}

SEC("fexit/mptcp_recvmsg")
int socket_mptcp_received(__u64 *ctx)
{
	return returned(ctx, (struct sock *)ctx[0], SONDE_SOCKET_RECEIVED);
}

SEC("fexit/unix_stream_sendmsg")
int socket_unix_sent(__u64 *ctx)
{
	return returned(ctx, ((struct socket *)ctx[0])->sk, SONDE_SOCKET_SENT);
}

SEC("fexit/unix_stream_recvmsg")
int BPF_PROG(socket_unix_received, struct socket *socket, struct msghdr *msg, size_t size,
	     int flags, int ret)
{
	return passed(socket->sk, ret, flags, SONDE_SOCKET_RECEIVED, false);
}
