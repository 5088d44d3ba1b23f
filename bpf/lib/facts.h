/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Facts: records for the ring that all families share. The agent creates the ring once and each
 * object takes it over; the sizes here are placeholders. */
#pragma once

#include "lib/ring.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} facts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sonde_facts_lost);
} facts_lost SEC(".maps");

RING_READER(facts_reader);

static __always_inline void facts__count_lost(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct sonde_facts_lost *row = bpf_map_lookup_elem(&facts_lost, &cpu);

	if (row)
		__sync_fetch_and_add(&row->lost[sonde_family & (SONDE_FAMILIES - 1)], 1);
}

/* A record of a constant size with its header filled in, or NULL, counted as lost. */
static __always_inline void *facts__reserve(__u16 kind, __u32 size)
{
	struct sonde_record *record = bpf_ringbuf_reserve(&facts, size, 0);

	if (!record) {
		facts__count_lost();
		return NULL;
	}
	record__begin(record, kind, size);
	return record;
}

static __always_inline void facts__submit(void *record)
{
	record__submit(record, &facts, &facts_reader, 2);
}

/* Reports one value above a threshold. `task` is the one it happened to. */
static __always_inline void facts__outlier(__u32 what, __u64 value, struct task_struct *task,
					   __u32 slot, __u64 detail0, __u64 detail1)
{
	struct sonde_outlier *outlier = facts__reserve(SONDE_KIND_OUTLIER, sizeof(*outlier));

	if (!outlier)
		return;
	outlier->value = value;
	outlier->tgid = task->tgid;
	outlier->pid = task->pid;
	outlier->slot = slot;
	outlier->what = what;
	outlier->detail[0] = detail0;
	outlier->detail[1] = detail1;
	bpf_probe_read_kernel(outlier->comm, sizeof(outlier->comm), task->comm);
	facts__submit(outlier);
}
