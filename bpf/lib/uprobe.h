/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a program on a uprobe asks first: which file and which of its sites was hit. Counts the hit,
 * too, for the budget of each file. Every program that Executables attaches begins with this.
 *
 *	SEC("uprobe.multi")
 *	int go_panic(struct pt_regs *ctx)
 *	{
 *		struct uprobe_hit hit = uprobe__hit(ctx);
 */
#pragma once

#include "sonde/uprobe.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Created by the agent and shared by all families (Executables::prepare()). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sonde_uprobe_hits);
} uprobe_hits SEC(".maps");

struct uprobe_hit {
	__u32 file; /* below SONDE_UPROBE_FILES */
	__u32 site; /* ProbeSite::cookie */
};

static __always_inline struct uprobe_hit uprobe__hit(void *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct uprobe_hit hit = { .file = (cookie >> 32) % SONDE_UPROBE_FILES, .site = (__u32)cookie };
	__u32 cpu = bpf_get_smp_processor_id();
	struct sonde_uprobe_hits *row = bpf_map_lookup_elem(&uprobe_hits, &cpu);

	/* Programs on uprobes are preemptible from 6.13 on: a hit lost to a race does no harm to a
	 * budget. */
	if (row)
		row->hits[hit.file]++;
	return hit;
}
