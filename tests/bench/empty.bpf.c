// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs that do nothing, on the tracepoints of those that run.sh measures: what the kernel's
 * statistics read for an event by itself. */
#define SEC(name) __attribute__((section(name), used))

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sched_switch")
int empty_switch(void *arguments)
{
	return 0;
}

SEC("tp_btf/block_rq_insert")
int empty_insert(void *arguments)
{
	return 0;
}

SEC("tp_btf/block_rq_complete")
int empty_complete(void *arguments)
{
	return 0;
}
