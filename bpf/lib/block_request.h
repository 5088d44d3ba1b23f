/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a request is, on every kernel: its operation, its disk, whether the kernel accounts it. */
#pragma once

#include "sonde/block_io.h"

const volatile struct sonde_block_io_config chosen __attribute__((aligned(64))) = {};

#define SONDE_OP_MASK	 255
#define SONDE_OP_FLUSH	 2
#define SONDE_OP_DISCARD 3
#define SONDE_FLUSH_TYPE ((1u << __REQ_PREFLUSH) | (1u << __REQ_FUA))

/* f3fa33acca9f "block: remove the ->rq_disk field in struct request", 5.17 */
struct request___before_5_17 {
	struct gendisk *rq_disk;
} __attribute__((preserve_access_index));

/* 81ada09cc25e "blk-flush: reuse rq queuelist in flush state machine", 6.6 */
struct request___before_6_6 {
	struct {
		struct list_head list;
	} flush;
} __attribute__((preserve_access_index));

/* The dev_t of the whole disk; 0 for one that has none (a path of NVMe multipath). */
static __always_inline __u32 request__device(struct request *rq)
{
	struct request___before_5_17 *old = (void *)rq;
	struct gendisk *disk;

	if (bpf_core_field_exists(old->rq_disk))
		disk = old->rq_disk;
	else
		disk = rq->q->disk;
	return disk ? (__u32)disk->major << 20 | (__u32)disk->first_minor : 0;
}

/* A flush that the kernel's flush machinery made for one or several writers. It is accounted apart,
 * without RQF_IO_STAT. */
static __always_inline bool request__is_flush(struct request *rq)
{
	return (rq->cmd_flags & SONDE_OP_MASK) == SONDE_OP_FLUSH &&
	       ((__u32)rq->rq_flags & chosen.flag_flush_sequence);
}

/* As blk_do_io_stat(): passthrough requests that are not accounted have no `part`. */
static __always_inline bool request__is_accounted(struct request *rq)
{
	return ((__u32)rq->rq_flags & chosen.flag_io_stat) && rq->part;
}

static __always_inline __u32 request__operation(struct request *rq)
{
	__u32 op = rq->cmd_flags & SONDE_OP_MASK;

	return op == SONDE_OP_DISCARD ? SONDE_BLOCK_IO_DISCARD : op & 1;
}

/* The data of a write in a flush sequence is done before the write is. */
static __always_inline bool request__is_last(struct request *rq, __u32 bytes)
{
	if ((__u32)rq->rq_flags & chosen.flag_flush_sequence)
		return false;
	return !rq->bio || bytes >= rq->__data_len;
}

/* Accounted, in no flush sequence, and all of it is done now. */
static __always_inline bool request__is_whole(struct request *rq, __u32 bytes)
{
	__u32 accounted = chosen.flag_io_stat;
	__u32 flags = (__u32)rq->rq_flags & (accounted | chosen.flag_flush_sequence);

	return flags == accounted && rq->part && rq->bio && bytes >= rq->__data_len;
}

static __always_inline __u64 request__start(struct request *rq)
{
	return bpf_core_field_exists(rq->start_time_ns) ? rq->start_time_ns : 0;
}

/* The first of the writes that a flush was made for: they wait in the running one of two lists. */
static __always_inline struct request *request__flushed_for(struct request *flush)
{
	struct request___before_6_6 *old = (void *)flush;
	struct blk_flush_queue *fq = BPF_CORE_READ(flush, mq_hctx, fq);
	__u64 running, first = 0, offset;
	void *head;

	if (!fq)
		return NULL;
	running = BPF_CORE_READ_BITFIELD_PROBED(fq, flush_running_idx);
	head = (void *)fq + bpf_core_field_offset(fq->flush_queue) +
	       (running & 1) * sizeof(struct list_head);
	if (bpf_probe_read_kernel(&first, sizeof(first), head) || !first || first == (__u64)head)
		return NULL;
	if (bpf_core_field_exists(old->flush.list))
		offset = bpf_core_field_offset(old->flush.list);
	else
		offset = bpf_core_field_offset(flush->queuelist);
	return (struct request *)(first - offset);
}
