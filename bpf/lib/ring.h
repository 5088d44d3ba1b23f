/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records for a ring: their header, and when a producer wakes the agent. */
#pragma once

#include "sonde/abi.h"

/* This family's number, set by the agent before it loads the object. */
const volatile __u16 sonde_family = 0;

/* Whether the agent looks into a ring by itself: record__read_soon(). */
#define RING_READER(name)                                                                          \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(map_flags, BPF_F_MMAPABLE);                                                 \
		__uint(max_entries, 1);                                                            \
		__type(key, __u32);                                                                \
		__type(value, struct sonde_facts_reader);                                          \
	} name SEC(".maps")

static __always_inline void record__begin(struct sonde_record *record, __u16 kind, __u32 size)
{
	record->family = sonde_family;
	record->kind = kind;
	record->size = size;
	record->cpu = bpf_get_smp_processor_id();
	record->ktime_ns = bpf_ktime_get_ns();
}

/* Whether the agent looks again by itself: a wake-up a record costs ten times the record. What lies
 * in the ring does not tell: of two records reserved at once in an empty ring neither is the first
 * one waiting. */
static __always_inline bool record__read_soon(void *reader_map)
{
	__u32 zero = 0;
	struct sonde_facts_reader *reader = bpf_map_lookup_elem(reader_map, &zero);

	return reader && *(volatile __u64 *)&reader->awake;
}

/* Submits to `ring` and wakes the agent when it sleeps and when more than one part in `parts` of
 * the ring is full. */
static __always_inline void record__submit(void *record, void *ring, void *reader_map,
					   const __u32 parts)
{
	bool wake = !record__read_soon(reader_map) ||
		    bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) >
			    bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / parts;

	bpf_ringbuf_submit(record, wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}
