/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Block I/O of each service and each disk: bpf/block_io.bpf.c and agent/probes/block_io.cpp. */
#pragma once

#include "sonde/abi.h"
#include "sonde/histogram.h"

/* The kernel's own groups (enum stat_group), in its order. */
enum sonde_block_io_operation {
	SONDE_BLOCK_IO_READ = 0,
	SONDE_BLOCK_IO_WRITE = 1,
	SONDE_BLOCK_IO_DISCARD = 2,
	SONDE_BLOCK_IO_FLUSH = 3,
	SONDE_BLOCK_IO_OPERATIONS = 4,
};

/* Counters of a service on a CPU; never cleared. */
struct sonde_block_io_row {
	struct sonde_histogram latency[SONDE_BLOCK_IO_OPERATIONS]; /* ns */
	__u64 bytes[SONDE_BLOCK_IO_OPERATIONS];
	__u64 unknown_submitters; /* completions whose submission was not seen */
	__u64 unknown_starts;	  /* completions without a latency */
	__u64 padding[2];
};

/* Cells of the table of disks, and the row for those that find none. */
#define SONDE_BLOCK_IO_DEVICES 64
#define SONDE_BLOCK_IO_OTHER   SONDE_BLOCK_IO_DEVICES
#define SONDE_BLOCK_IO_COLUMNS (SONDE_BLOCK_IO_DEVICES + 1)

/* Counters of a disk on a CPU. */
struct sonde_block_io_device_row {
	struct sonde_histogram latency[SONDE_BLOCK_IO_OPERATIONS]; /* ns */
	struct sonde_histogram size[SONDE_BLOCK_IO_OPERATIONS];	   /* bytes */
};

/* Which disk a row is of: the kernel's dev_t (major << 20 | minor) of the whole disk, 0 when the
 * cell is free. A cell is never given to another disk. */
struct sonde_block_io_devices {
	__u32 number[SONDE_BLOCK_IO_DEVICES];
};

/* What a CPU is doing in the completion program. */
struct sonde_block_io_cpu {
	__u64 inside;  /* completion programs running */
	__u64 request; /* of the innermost one */
	__u64 nested;  /* completions taken over by the second program */
	__u64 padding[5];
};

/* Requests under way with who submitted them, eight to a set. */
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

SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_row) == 1152, "multiple of a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_device_row) == 2176, "multiple of a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_devices) == 256, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_cpu) == 64, "a cache line");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_set) == 128, "two cache lines");
SONDE_STATIC_ASSERT(sizeof(struct sonde_block_io_stamp) == 16, "wire format");

/* Spreads the low half of a request's address; its highest bits choose the set. */
static inline __u32 sonde_block_io_hash(__u32 request)
{
	return request * 0x9e3779b1u;
}

/* `shift` is 32 less the logarithm of the number of sets. */
static inline __u32 sonde_block_io_set_of(__u32 hash, __u32 shift)
{
	return hash >> (shift & 31);
}

/* Where in its set a request is looked for first. */
static inline __u32 sonde_block_io_way_of(__u32 hash, __u32 shift)
{
	return hash >> ((shift - 3) & 31) & (SONDE_BLOCK_IO_WAYS - 1);
}

/* First cell to look into for a disk. Minors come in steps of 1 (loop, NVMe) or 16 (sd, vd). */
static inline __u32 sonde_block_io_cell_of(__u32 number)
{
	return (number + (number >> 4) + (number >> 20) * 5) & (SONDE_BLOCK_IO_DEVICES - 1);
}
