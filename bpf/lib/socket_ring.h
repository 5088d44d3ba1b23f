/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tap's own ring and counters: bytes must not crowd out the facts of other families. */
#pragma once

#include "lib/ring.h"
#include "lib/rows.h"
#include "sonde/socket.h"

/* Records of all sockets, in the order in which they were reserved; size: socket.ring-bytes. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} socket_records SEC(".maps");

/* Whether the agent looks again by itself; see lib/ring.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sonde_facts_reader);
} socket_reader SEC(".maps");

ROWS(socket_rows, 1, struct sonde_socket_row);

static __always_inline struct sonde_socket_row *socket__row(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&socket_rows, &cpu);
}

/* A task's tap may be interrupted by the close of another socket on the same CPU. */
#define SOCKET_COUNT(field)                                                                        \
	do {                                                                                       \
		struct sonde_socket_row *count_row = socket__row();                                \
		if (count_row)                                                                     \
			__sync_fetch_and_add(&count_row->field, 1);                                \
	} while (0)

/* What of a head's limit is captured: while the agent does not keep up, the beginnings of many
 * messages are worth more than the whole of a few. */
static __always_inline __u32 socket__spare(__u32 limit, __u32 bytes)
{
	__u64 used, size;
	__u32 most;

	if (bytes <= SONDE_SOCKET_TURN_LIMIT)
		return limit;
	used = bpf_ringbuf_query(&socket_records, BPF_RB_AVAIL_DATA);
	size = bpf_ringbuf_query(&socket_records, BPF_RB_RING_SIZE);
	most = used * 4 > size * 3 ? 464 : used * 2 > size ? 2000 : limit;

	if (most >= limit)
		return limit;
	if (bytes > most)
		SOCKET_COUNT(shortened);
	return most;
}

static __always_inline void *socket__reserve(__u16 kind, __u32 size)
{
	struct sonde_record *record = bpf_ringbuf_reserve(&socket_records, size, 0);

	if (!record) {
		SOCKET_COUNT(lost_ring);
		return NULL;
	}
	record__begin(record, kind, size);
	return record;
}

static __always_inline void socket__submit(void *record)
{
	record__submit(record, &socket_records, &socket_reader, 4);
}
