/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs attached twice, so that no event passes them by. From 7.0 on a tracepoint's program may
 * be preempted, and no kernel runs a program within itself on one CPU: what happens there meanwhile
 * is missed (05b24ff9b2cf "bpf: Prevent bpf program recursion for raw tracepoint probes"). The
 * second program does what the first one missed, and nothing otherwise. */
#pragma once

#include "sonde/abi.h"

#define TWICE_KINDS 4
#define TWICE_MARKS 1024

/* What the first program has done, until the second one has looked: by kind of event and low bits
 * of its key. Two keys that share a mark cost a repetition, which the agent must bear. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TWICE_KINDS *TWICE_MARKS);
	__type(key, __u32);
	__type(value, __u64);
} twice_marks SEC(".maps");

static __always_inline __u64 *twice__mark(__u32 kind, __u64 key)
{
	__u32 index = (kind & (TWICE_KINDS - 1)) * TWICE_MARKS + (key & (TWICE_MARKS - 1));

	return bpf_map_lookup_elem(&twice_marks, &index);
}

/* True when the event is this program's to handle; `again` is a constant: the second program. */
static __always_inline bool twice__mine(__u32 kind, __u64 key, const bool again)
{
	__u64 *mark = twice__mark(kind, key);

	if (!mark)
		return !again;
	if (!again) {
		*mark = key;
		return true;
	}
	if (*mark != key)
		return true;
	*mark = 0;
	return false;
}
