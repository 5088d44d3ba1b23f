/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whom a Go program is connected to, from its net.Conn or its net.Addr. */
#pragma once

#include <bpf/bpf_core_read.h>

#include "lib/go_abi.h"
#include "sonde/go_conn.h"

/* One near end for each far one; the agent deletes those that did not help, so that another comes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, struct sonde_go_remote);
	__type(value, struct sonde_go_local);
} go_conn_locals SEC(".maps");

/* An interface's two words. */
struct go_interface {
	__u64 table;
	__u64 data;
};

static __always_inline struct go_interface go__interface(__u64 from)
{
	struct go_interface words = {};

	bpf_probe_read_user(&words, sizeof(words), (void *)from);
	return words;
}

/* Whether it holds that type. */
static __always_inline bool go__holds(struct go_interface words, __u32 type)
{
	return words.table && words.data && (go__word(words.table + 8) & 0xfff) == type;
}

/* Of the net.Addr that lies there. */
static __always_inline bool go_conn__address(const struct sonde_go_conn *types, __u64 from,
					     __u8 *address, __u16 *port)
{
	struct go_interface holder = go__interface(from);
	__u64 tcp[4] = {}; /* IP, a slice, and Port */

	if (!go__holds(holder, types->tcp_address) || !go__read(tcp, sizeof(tcp), holder.data))
		return false;
	*port = (__u16)tcp[3];
	if (tcp[1] == 16)
		return go__read(address, 16, tcp[0]);
	__builtin_memset(address, 0, 10);
	address[10] = address[11] = 0xff;
	return tcp[1] == 4 && go__read(address + 12, 4, tcp[0]);
}

/* By the two ends' net.Addr. */
static __always_inline bool go_conn__between(const struct sonde_go_conn *types, __u64 near,
					     __u64 far, struct sonde_go_remote *remote)
{
	struct sonde_go_local local = {};

	if (!go_conn__address(types, far, remote->address, &remote->port))
		return false;
	if (!bpf_map_lookup_elem(&go_conn_locals, remote) &&
	    go_conn__address(types, near, local.address, &local.port)) {
		struct task_struct *task = bpf_get_current_task_btf();

		local.netns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
		bpf_map_update_elem(&go_conn_locals, remote, &local, BPF_NOEXIST);
	}
	return true;
}

/* Of a net.Conn: TCP, or what begins with another one, as TLS does. */
static __always_inline bool go_conn__remote(const struct sonde_go_conn *types, __u64 from,
					    struct sonde_go_remote *remote)
{
	for (int i = 0; i < 4; i++) {
		struct go_interface conn = go__interface(from);
		__u64 descriptor;

		if (!conn.data)
			return false;
		if (!go__holds(conn, types->tcp_conn)) {
			from = conn.data;
			continue;
		}
		descriptor = go__word(conn.data);
		return descriptor && go_conn__between(types, descriptor + types->local,
						      descriptor + types->remote, remote);
	}
	return false;
}

/* For a key: zeros before; the length that it gets. */
static __always_inline __u8 go_conn__write(char *text, const struct sonde_go_remote *remote)
{
	__builtin_memcpy(text, remote->address, sizeof(remote->address));
	__builtin_memcpy(text + sizeof(remote->address), &remote->port, sizeof(remote->port));
	return SONDE_GO_PEER_ADDRESS;
}
