/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Go's crypto/tls: no return probes there, so plaintext is taken where both ends of it are known: before
 * a call. The socket is found from the connection, whatever goroutine or thread works on it. */
#pragma once

#include "lib/go_abi.h"
#include "lib/tls_stream.h"

#define GO_RECORD_ALERT	      21
#define GO_RECORD_HANDSHAKE   22
#define GO_RECORD_APPLICATION 23

#define SONDE_S_IFMT  0xf000
#define SONDE_S_IFSOCK 0xc000

static __always_inline struct sock *go__socket_of(__s32 descriptor)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files, *file = NULL;
	struct socket *socket;

	if (descriptor < 0 || (__u32)descriptor >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), &files[descriptor]) || !file)
		return NULL;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & SONDE_S_IFMT) != SONDE_S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

/* The socket of a net.Conn, of which `data` is the second word: a *net.TCPConn, which begins with a
 * *netFD, or a struct that begins with another net.Conn. */
static __always_inline struct sock *go__socket(__u64 data)
{
	for (int i = 0; i < 3; i++) {
		__u64 first = 0;
		struct sock *sk;
		__s32 descriptor = -1;

		if (bpf_probe_read_user(&first, sizeof(first), (void *)data))
			return NULL;
		/* netFD.pfd.Sysfd, behind a fdMutex: checked when the site was chosen. */
		if (!bpf_probe_read_user(&descriptor, sizeof(descriptor), (void *)(first + 16))) {
			sk = go__socket_of(descriptor);
			if (sk)
				return sk;
		}
		if (bpf_probe_read_user(&data, sizeof(data), (void *)(data + 8)))
			return NULL;
	}
	return NULL;
}

/* `handshake`: the connection may have begun, over another socket than one that was there before. */
static __always_inline struct sonde_tls_stream *
go__stream(struct sonde_tls_thread *thread, const struct sonde_tls_key *key, bool handshake)
{
	struct sonde_tls_under *under = &thread->under[SONDE_SOCKET_SENT];
	struct sonde_tls_stream *stream = bpf_map_lookup_elem(&tls_streams, key);
	const struct sonde_tls_under *within = NULL;
	struct sock *sk;
	__u64 data = 0;

	if (stream && stream->socket.id && !handshake)
		return stream;
	if (bpf_probe_read_user(&data, sizeof(data), (void *)(key->connection + 8)))
		return stream;
	sk = go__socket(data);
	if (sk && under__transport(sk) >= 0) {
		under->id = 0;
		under->address = (__u64)sk;
		within = under;
	}
	return stream__find(thread, key, within, handshake ? SONDE_TLS_HANDSHAKE : SONDE_TLS_WRITE);
}

static __always_inline int go__passes(struct sonde_tls_thread *thread, __u64 connection,
				      int direction, __u64 base, __u64 bytes)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sonde_tls_key key = {.connection = connection, .tgid = task->tgid};
	struct sonde_tls_stream *stream;

	if (bytes > 0x7fffffff)
		return 0;
	stream = go__stream(thread, &key, !bytes);
	if (!stream || !bytes)
		return 0;
	thread->base = base;
	return stream__passed(thread, stream, key.tgid, direction, bytes);
}

#if defined(__TARGET_ARCH_x86)

/* At the call of (*bytes.Reader).Read in (*Conn).Read: AX is &conn.input, BX and CX where to and how
 * much at most. A bytes.Reader is a slice and how much of it has been read. Or, where it is compiled
 * into its caller, at that of memmove: AX to, BX from, CX how much. */
static __always_inline int go__reads(struct pt_regs *regs, __u32 cookie)
{
	struct sonde_tls_thread *thread =
		tls__thread(bpf_get_current_task_btf(), BPF_LOCAL_STORAGE_GET_F_CREATE);
	__u64 connection, base, bytes = regs->cx, *reader;

	if (!thread || !bytes)
		return 0;
	reader = thread->words;
	if (cookie & SONDE_TLS_GO_COPIES) {
		if (bpf_probe_read_user(reader, 8, (void *)(regs->sp + (cookie >> 16))))
			return 0;
		connection = reader[0];
		base = regs->bx;
	} else {
		if (bpf_probe_read_user(reader, 32, (void *)regs->ax) || reader[3] >= reader[1])
			return 0;
		connection = regs->ax - (cookie >> 16);
		base = reader[0] + reader[3];
		if (bytes > reader[1] - reader[3])
			bytes = reader[1] - reader[3];
	}
	return go__passes(thread, connection, SONDE_SOCKET_RECEIVED, base, bytes);
}

/* At the begin of (*Conn).writeRecordLocked: AX the connection, BX the type, CX and DI the bytes. */
static __always_inline int go__writes(struct pt_regs *regs)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sonde_tls_thread *thread = tls__thread(task, BPF_LOCAL_STORAGE_GET_F_CREATE);
	__u8 type = regs->bx, alert[2] = {};
	__u64 bytes = type == GO_RECORD_APPLICATION ? regs->di : 0;

	if (!thread)
		return 0;
	if (type == GO_RECORD_HANDSHAKE || bytes)
		return go__passes(thread, regs->ax, SONDE_SOCKET_SENT, regs->cx, bytes);
	/* close_notify. */
	if (type != GO_RECORD_ALERT || bpf_probe_read_user(alert, 2, (void *)regs->cx) ||
	    alert[1] != 0)
		return 0;
	return tls__ended(regs->ax, task->tgid, SONDE_SOCKET_SENT);
}

#else

static __always_inline int go__reads(struct pt_regs *regs, __u32 cookie)
{
	return 0;
}

static __always_inline int go__writes(struct pt_regs *regs)
{
	return 0;
}

#endif
