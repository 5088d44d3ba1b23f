/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel side and the agent agree on. Every header in this folder compiles three ways: as
 * BPF C with vmlinux.h, as C++ in the agent, and as C++ in the unit tests. */
#pragma once

#ifdef __bpf__
#include "vmlinux.h"
#define SONDE_STATIC_ASSERT _Static_assert
#define SONDE_CONSTEXPR	    static inline
#else
#include <linux/types.h>
#define SONDE_STATIC_ASSERT static_assert
#define SONDE_CONSTEXPR	    constexpr
#endif

/* Service slots: rows of every per-service array. A process without an entry is `other`. */
#define SONDE_SLOTS	   256
#define SONDE_SLOT_OTHER   0
#define SONDE_SLOT_KERNEL  1
#define SONDE_SLOT_AGENT   2
#define SONDE_SLOT_DYNAMIC 3 /* the first one given to a discovered service */

/* tgid -> slot, 32 processes a block: BPF arrays round a value up to 8 bytes, so one __u16 a key
 * would take four times the memory. Index tgid >> 5. */
struct sonde_slot_block {
	__u16 slot[32];
};

/* How often each slot has been given away; what outlives its service (a socket) keeps the number
 * it saw and is `other` once the number has moved on. */
struct sonde_slot_generations {
	__u16 generation[SONDE_SLOTS];
};

/* Families of programs that may write to the facts ring; a family's number is its line in
 * agent/probes/families.def, set in its rodata when it is loaded. */
#define SONDE_FAMILIES 32

/* Leads every ring record. `size` lets the agent reject a record from another build. */
struct sonde_record {
	__u16 family;
	__u16 kind; /* of the family's own; SONDE_KIND_OUTLIER is the same for all */
	__u16 size;
	__u16 cpu;
	__u64 ktime_ns;
};

#define SONDE_KIND_OUTLIER 1
#define SONDE_KIND_FAMILY  16 /* the first number a family may use for itself */

/* One value over a family's threshold: for the bounded list of recent outliers. */
struct sonde_outlier {
	struct sonde_record record;
	__u64 value; /* ns */
	__u32 tgid;
	__u32 pid;
	__u32 slot;
	__u32 what; /* meaning belongs to the family */
	__u64 detail[2];
	char comm[16];
};

/* Records that found the ring full, one row a CPU. */
struct sonde_facts_lost {
	__u64 lost[SONDE_FAMILIES];
};

/* The ring's consumer: while it is awake it looks again within milliseconds, unasked. */
struct sonde_facts_reader {
	__u64 awake;
};

/* A process across PID reuse: the thread-group id alone names a different program a minute
 * later. */
struct sonde_process {
	__u32 tgid;
	__u32 padding;
	__u64 start_ns; /* task_struct::start_boottime of the leader */
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_slot_block) == 64, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_record) == 16, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_outlier) == 72, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_facts_lost) == 256, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_process) == 16, "wire format");
