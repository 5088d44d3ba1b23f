// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts the panics of Rust and Go programs, by service. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lib/rows.h"
#include "lib/service.h"
#include "lib/uprobe.h"
#include "sonde/rust.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* "MOZ\0RUST" as the eight bytes lie in memory: the class of Rust's exceptions. */
#define RUST_EXCEPTION_CLASS 0x54535552005a4f4dull

ROWS(panic_rows, SONDE_SLOTS, struct sonde_panic_row);

/* Threads whose panic was counted where it began, and which will raise an exception for it; a panic
 * that aborts leaves its entry behind, hence LRU. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* pid_tgid */
	__type(value, __u8);
} panicking SEC(".maps");

static __always_inline struct sonde_panic_row *panic__row(__u64 pid_tgid)
{
	return rows__of_slot(&panic_rows, bpf_get_smp_processor_id(),
			     service__slot(pid_tgid >> 32));
}

/* rust_panic(), which every panic passes on its way to unwind or abort. */
SEC("uprobe.multi")
int rust_panic(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct sonde_panic_row *row;
	__u8 one = 1;

	uprobe__hit(ctx);
	row = panic__row(thread);
	if (row)
		__sync_fetch_and_add(&row->rust, 1);
	bpf_map_update_elem(&panicking, &thread, &one, BPF_ANY);
	return 0;
}

/* _Unwind_RaiseException(exception): C++ programs come here, too. */
SEC("uprobe.multi")
int rust_unwind(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct sonde_panic_row *row;
	__u64 class = 0;

	uprobe__hit(ctx);
	bpf_probe_read_user(&class, sizeof(class), (void *)PT_REGS_PARM1(ctx));
	if (class != RUST_EXCEPTION_CLASS || !bpf_map_delete_elem(&panicking, &thread))
		return 0;
	row = panic__row(thread);
	if (row)
		__sync_fetch_and_add(&row->rust, 1);
	return 0;
}

#define X86_CARRY 0x01
#define X86_ZERO  0x40

/* Whether `jbe` at the probe is about to go to morestack, after which the function begins again. */
static __always_inline bool stack_grows(struct pt_regs *ctx)
{
#if defined(__TARGET_ARCH_x86)
	return ctx->flags & (X86_CARRY | X86_ZERO);
#else
	return false;
#endif
}

/* runtime.gopanic(). */
SEC("uprobe.multi")
int go_panic(struct pt_regs *ctx)
{
	struct uprobe_hit hit = uprobe__hit(ctx);
	struct sonde_panic_row *row;

	if (hit.site == SONDE_PANIC_UNLESS_TAKEN && stack_grows(ctx))
		return 0;
	row = panic__row(bpf_get_current_pid_tgid());
	if (row)
		__sync_fetch_and_add(&row->go, 1);
	return 0;
}
