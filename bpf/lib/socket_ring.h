/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tap's own ring and counters: bytes must not crowd out the facts of other families. */
#pragma once

#include "lib/ring.h"
#include "lib/rows.h"
#include "sonde/socket.h"

struct socket_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* the agent's: socket.ring-bytes */
};

/* Records of all sockets, in a ring for each CPU: of one for all, CPUs that serve the same rate
 * pull its lock, its positions and the last record's header from each other, 300 ns a record. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1); /* CPUs, the agent's */
	__type(key, __u32);
	__array(values, struct socket_ring);
} socket_rings SEC(".maps");

/* Of each. */
const volatile __u32 socket_ring_bytes = 4096;

static __always_inline void *socket__ring(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&socket_rings, &cpu);
}

static __always_inline __u64 socket__ring_used(void)
{
	void *ring = socket__ring();

	return ring ? bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) : 0;
}

RING_READER(socket_reader);

ROWS(socket_rows, 1, struct sonde_socket_row);

static __always_inline struct sonde_socket_row *socket__row(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&socket_rows, &cpu);
}

/* A task's tap may be interrupted by the close of another socket on the same CPU. */
#define SOCKET_COUNT(field) ROWS_COUNT(socket_rows, struct sonde_socket_row, field)

/* What of a head's limit is captured: while the agent does not keep up, the beginnings of many
 * messages are worth more than the whole of a few. */
static __always_inline __u32 socket__spare(__u32 limit, __u32 bytes)
{
	__u64 used, size = socket_ring_bytes;
	__u32 most;

	if (bytes <= SONDE_SOCKET_TURN_LIMIT)
		return limit;
	used = socket__ring_used();
	most = used * 4 > size * 3 ? 464 : used * 2 > size ? 2000 : limit;

	if (most >= limit)
		return limit;
	if (bytes > most)
		SOCKET_COUNT(shortened);
	return most;
}

static __always_inline void *socket__reserve(__u16 kind, __u32 size)
{
	void *ring = socket__ring();
	struct sonde_record *record = ring ? bpf_ringbuf_reserve(ring, size, 0) : NULL;

	if (!record) {
		SOCKET_COUNT(lost_ring);
		return NULL;
	}
	record__begin(record, kind, size);
	return record;
}

/* Small records do not fill a large ring before the agent looks again. */
#define SOCKET_SMALL_RECORD 256
#define SOCKET_LARGE_RING   (1u << 20)

static __always_inline bool socket__fills(const struct sonde_record *record)
{
	if (socket_ring_bytes >= SOCKET_LARGE_RING && record->size <= SOCKET_SMALL_RECORD)
		return false;
	return socket__ring_used() > socket_ring_bytes / 4;
}

static __always_inline void socket__submit(void *record)
{
	bool wake = !record__read_soon(&socket_reader) || socket__fills(record);

	bpf_ringbuf_submit(record, wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}
