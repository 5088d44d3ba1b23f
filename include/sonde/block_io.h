/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Block I/O of each service and each disk: bpf/block_io.bpf.c and agent/probes/block_io.cpp. */
#pragma once

#include "sonde/histogram.h"

/* The kernel's own groups (enum stat_group), in its order. */
enum sonde_block_io_operation {
	SONDE_BLOCK_IO_READ = 0,
	SONDE_BLOCK_IO_WRITE = 1,
	SONDE_BLOCK_IO_DISCARD = 2,
	SONDE_BLOCK_IO_FLUSH = 3,
	SONDE_BLOCK_IO_OPERATIONS = 4,
};

/* Buckets of a histogram, the one for +Inf included. */
#define SONDE_BLOCK_IO_BUCKETS 16

struct sonde_block_io_sums {
	__u64 latency; /* ns */
	__u64 bytes;
};

/* Counters of a service on a CPU; never cleared. All sums lie in one cache line. */
struct sonde_block_io_row {
	struct sonde_block_io_sums sums[SONDE_BLOCK_IO_OPERATIONS];
	__u64 latency[SONDE_BLOCK_IO_OPERATIONS][SONDE_BLOCK_IO_BUCKETS];
	__u64 unknown_submitters; /* completions whose submission was not seen */
	__u64 unknown_starts;	  /* completions without a latency */
	__u64 padding[6];
};

/* Cells of the table of disks, and the row for those that find none. */
#define SONDE_BLOCK_IO_DEVICES 64
#define SONDE_BLOCK_IO_OTHER   SONDE_BLOCK_IO_DEVICES
#define SONDE_BLOCK_IO_COLUMNS (SONDE_BLOCK_IO_DEVICES + 1)

/* Counters of a disk on a CPU. */
struct sonde_block_io_device_row {
	struct sonde_block_io_sums sums[SONDE_BLOCK_IO_OPERATIONS];
	__u64 latency[SONDE_BLOCK_IO_OPERATIONS][SONDE_BLOCK_IO_BUCKETS];
	__u64 size[SONDE_BLOCK_IO_OPERATIONS][SONDE_BLOCK_IO_BUCKETS];
};

/* Which disk a row is of: the kernel's dev_t (major << 20 | minor) of the whole disk, 0 when the
 * cell is free. A cell is never given to another disk. */
struct sonde_block_io_devices {
	__u32 number[SONDE_BLOCK_IO_DEVICES];
};

/* What a CPU is doing in the completion program. */
struct sonde_block_io_cpu {
	__u64 request; /* that it is at work on; 0 when it does not run */
	__u64 counted; /* that it has just counted; 0 when the second program has seen that */
	__u64 nested;  /* completions taken over by the second program */
	__u64 padding[5];
};

/* All that a CPU counts, in one place, so that it is found once for each completion. */
struct sonde_block_io_rows {
	struct sonde_block_io_cpu cpu;
	struct sonde_block_io_device_row disks[SONDE_BLOCK_IO_COLUMNS];
	struct sonde_block_io_row services[SONDE_SLOTS];
};

/* What the agent decides before the programs are loaded. */
struct sonde_block_io_config {
	__u64 latency_bounds[SONDE_BLOCK_IO_BUCKETS];
	__u64 size_bounds[SONDE_BLOCK_IO_BUCKETS];
	__u64 outlier_ns; /* a request that took longer is reported as a fact */
	__u32 set_shift;  /* 32 less the logarithm of the number of sets */
	__u32 no_cpu;	  /* the row of no CPU */
	/* Bits of request::rq_flags, from the kernel's BTF where it has them (6.11). */
	__u32 flag_io_stat;
	__u32 flag_flush_sequence;
	/* Submissions come from block_io_start (6.5); otherwise from the first of insert and issue.
	 */
	__u8 by_start;
	/* Latency from when the request was issued, not from when it was made. */
	__u8 from_issue;
	/* The kernel never runs a program within itself on one CPU, so what it counts in its CPU's
	 * rows needs no atomic instructions; completions within it go into the row of no CPU. */
	__u8 alone;
	__u8 padding[5];
};

/* Requests under way and who submitted them, eight to a set. Two cache lines, because those who
 * submit look for requests and write owners, those who complete look for both and write owners: on
 * two CPUs only the line of the owners goes to and fro, and only the latter wait for it. */
#define SONDE_BLOCK_IO_WAYS 8
struct sonde_block_io_set {
	__u64 request[SONDE_BLOCK_IO_WAYS]; /* address, also when it is done; 0 when free */
	__u64 owner[SONDE_BLOCK_IO_WAYS];   /* slot, flags, low bits of its start, thread group */
};

#define SONDE_BLOCK_IO_SLOT(owner)  ((owner) & (SONDE_SLOTS - 1))
#define SONDE_BLOCK_IO_PARTIAL	    (1ull << 8) /* a part of it is done already */
#define SONDE_BLOCK_IO_UNDER_WAY    (1ull << 9)
#define SONDE_BLOCK_IO_START(owner) ((owner) >> 16 & 0xffff)
#define SONDE_BLOCK_IO_TGID(owner)  ((owner) >> 32)

/* block_io.source=issue: when a request went to its device. */
struct sonde_block_io_stamp {
	__u64 ns;
	__u32 start; /* low bits of the request's own start: tells a request from its successor */
	__u32 issued;
};

/* Of an outlier, `what` is the operation and `detail` the number of the disk and the bytes. */

SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_row) == 640, "multiple of a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_device_row) == 1088, "multiple of a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_devices) == 256, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_cpu) == 64, "a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_rows) % 64 == 0, "multiple of a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_config) == 288, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_set) == 128, "two cache lines");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_stamp) == 16, "wire format");

/* As sonde_bucket(), in two steps for 16 buckets. */
static inline __attribute__((always_inline)) __u32
sonde_block_io_bucket(const volatile __u64 *bounds, __u64 value)
{
	__u64 four = sonde_below(bounds[3], value) + sonde_below(bounds[7], value) +
		     sonde_below(bounds[11], value);
	__u64 first = sonde_within(four << 2, SONDE_BLOCK_IO_BUCKETS - 4);
	const volatile __u64 *of = bounds + first;

	return (__u32)sonde_within(first + sonde_below(of[0], value) + sonde_below(of[1], value) +
					   sonde_below(of[2], value),
				   SONDE_BLOCK_IO_BUCKETS - 1);
}

/* Where a request is looked for first, from the low half of its address: neighbours, which are used
 * one after the other, in one set. Then in the other places of that set, this ^ 1 to this ^ 7.
 * `shift` is 32 less the logarithm of the number of sets. */
static inline __u32 sonde_block_io_home(__u32 request, __u32 shift)
{
	__u32 set = (request >> 11) * 0x9e3779b1u >> (shift & 31);

	return set * SONDE_BLOCK_IO_WAYS + (request >> 8) % SONDE_BLOCK_IO_WAYS;
}

/* First place of another set, where neighbours are not together: for when the first one is full. */
static inline __u32 sonde_block_io_refuge(__u32 request, __u32 shift)
{
	return (request * 0x9e3779b1u >> (shift & 31)) * SONDE_BLOCK_IO_WAYS;
}

/* First cell to look into for a disk. Minors come in steps of 1 (loop, NVMe) or 16 (sd, vd). */
static inline __u32 sonde_block_io_cell_of(__u32 number)
{
	return (number + (number >> 4) + (number >> 20) * 5) & (SONDE_BLOCK_IO_DEVICES - 1);
}
