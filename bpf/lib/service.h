/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which service a process belongs to: one inlined array look-up. The agent writes the slots through
 * mmap; fork copies the parent's (process.bpf.c). */
#pragma once

#include "sonde/abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* pid_max / 32 + 1, the agent's */
	__type(key, __u32);
	__type(value, struct sonde_slot_block);
} service_of SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sonde_slot_generations);
} slot_generations SEC(".maps");

static __always_inline __u32 service__slot(__u32 tgid)
{
	__u32 block = tgid >> 5;
	struct sonde_slot_block *slots = bpf_map_lookup_elem(&service_of, &block);

	return slots ? slots->slot[tgid & 31] & (SONDE_SLOTS - 1) : SONDE_SLOT_OTHER;
}

static __always_inline void service__set_slot(__u32 tgid, __u32 slot)
{
	__u32 block = tgid >> 5;
	struct sonde_slot_block *slots = bpf_map_lookup_elem(&service_of, &block);

	if (slots)
		slots->slot[tgid & 31] = slot;
}

static __always_inline __u16 service__generation(__u32 slot)
{
	__u32 zero = 0;
	struct sonde_slot_generations *all = bpf_map_lookup_elem(&slot_generations, &zero);

	return all ? all->generation[slot & (SONDE_SLOTS - 1)] : 0;
}

/* The slot something long-lived remembered, or `other` when it has since changed hands. */
static __always_inline __u32 service__still(__u32 slot, __u16 generation)
{
	return service__generation(slot) == generation ? slot & (SONDE_SLOTS - 1)
						       : SONDE_SLOT_OTHER;
}
