// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts the panics of Rust and Go programs, by service. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lib/go_abi.h"
#include "lib/rows.h"
#include "lib/service.h"
#include "lib/uprobe.h"
#include "sonde/rust.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* "MOZ\0RUST" as the eight bytes lie in memory: the class of Rust's exceptions. */
#define RUST_EXCEPTION_CLASS 0x54535552005a4f4dull

ROWS(panic_rows, SONDE_SLOTS, struct sonde_panic_row);

#define PANICKING_CELLS 256

/* Threads whose panic was counted where it began, and which will raise an exception for it within
 * microseconds, each in the cell of its number. Of two in one cell one would be counted twice. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PANICKING_CELLS);
	__type(key, __u32);
	__type(value, __u64); /* pid_tgid */
} panicking SEC(".maps");

static __always_inline __u64 *panicking__cell(__u64 thread)
{
	__u32 cell = (__u32)thread % PANICKING_CELLS;

	return bpf_map_lookup_elem(&panicking, &cell);
}

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
	__u64 *cell = panicking__cell(thread);
	struct sonde_panic_row *row;

	uprobe__hit(ctx);
	row = panic__row(thread);
	if (row)
		__sync_fetch_and_add(&row->rust, 1);
	if (cell)
		*cell = thread;
	return 0;
}

/* _Unwind_RaiseException(exception): C++ programs come here, too. */
SEC("uprobe.multi")
int rust_unwind(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *cell = panicking__cell(thread);
	struct sonde_panic_row *row;
	__u64 class = 0;

	uprobe__hit(ctx);
	bpf_probe_read_user(&class, sizeof(class), (void *)PT_REGS_PARM1(ctx));
	if (class != RUST_EXCEPTION_CLASS)
		return 0;
	if (cell && *cell == thread) {
		*cell = 0;
		return 0;
	}
	row = panic__row(thread);
	if (row)
		__sync_fetch_and_add(&row->rust, 1);
	return 0;
}

/* runtime.gopanic(). */
GO_SITE(go_panic)
{
	struct sonde_panic_row *row;

	uprobe__hit(ctx);
	row = panic__row(bpf_get_current_pid_tgid());
	if (row)
		__sync_fetch_and_add(&row->go, 1);
	return 0;
}
