// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Block I/O of every service and every disk, counted as /proc/diskstats counts it: when a request
 * completes, for the service whose task submitted it. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lib/block_submitter.h"
#include "lib/facts.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* 229 KiB a CPU; one more than there are, for completions of no CPU. Never cleared. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* CPUs + 1, the agent's */
	__type(key, __u32);
	__type(value, struct sonde_block_io_rows);
} block_io_counts SEC(".maps");

/* Which disk has which row. The agent fills in those it finds, programs those that come later;
 * cells are never cleared. */
volatile struct sonde_block_io_devices devices = {};

/* The first I/O of two new disks on two CPUs within nanoseconds may be counted for one of them. */
static __noinline __u32 device__search(__u32 number)
{
	__u32 cell = sonde_block_io_cell_of(number);

	if (!number)
		return SONDE_BLOCK_IO_OTHER;
	for (int i = 0; i < SONDE_BLOCK_IO_DEVICES; i++) {
		__u32 index = (cell + i) & (SONDE_BLOCK_IO_DEVICES - 1);

		if (!devices.number[index])
			devices.number[index] = number;
		if (devices.number[index] == number)
			return index;
	}
	return SONDE_BLOCK_IO_OTHER;
}

static __always_inline __u32 device__row(__u32 number)
{
	__u32 cell = sonde_block_io_cell_of(number);

	return number && devices.number[cell] == number ? cell : device__search(number);
}

static __always_inline struct sonde_block_io_rows *rows__of(__u32 cpu)
{
	return bpf_map_lookup_elem(&block_io_counts, &cpu);
}

static __noinline int report_outlier(__u64 owner, __u64 took, __u32 operation, __u32 device,
				     __u64 size)
{
	struct sonde_outlier *outlier = facts__reserve(SONDE_KIND_OUTLIER, sizeof(*outlier));

	if (!outlier)
		return 0;
	outlier->value = took;
	outlier->tgid = SONDE_BLOCK_IO_TGID(owner);
	outlier->pid = outlier->tgid;
	outlier->slot = SONDE_BLOCK_IO_SLOT(owner);
	outlier->what = operation;
	outlier->detail[0] = device;
	outlier->detail[1] = size;
	/* Whoever runs now is not who submitted it. */
	__builtin_memset(outlier->comm, 0, sizeof(outlier->comm));
	facts__submit(outlier);
	return 0;
}

static __always_inline __u64 took_since(__u64 start, __u64 now)
{
	return (__s64)(now - start) > 0 ? now - start : 0;
}

struct done {
	struct request *rq;
	__u32 operation;
	__u32 bytes; /* now; `size` in all */
	__u64 size;
	__u64 owner; /* the slot alone where nobody is known */
	bool known;  /* who submitted it */
	bool last;
};

static __always_inline void count_last(const struct done *done, struct sonde_block_io_row *service,
				       struct sonde_block_io_device_row *disk, __u64 start,
				       __u32 device)
{
	__u32 op = done->operation & (SONDE_BLOCK_IO_OPERATIONS - 1), bucket;
	__u64 took = took_since(start, bpf_ktime_get_ns());

	bucket = sonde_block_io_bucket(chosen.size_bounds, done->size);
	__sync_fetch_and_add(&disk->size[op][bucket], 1);
	if (!done->known)
		__sync_fetch_and_add(&service->unknown_submitters, 1);
	if (!start) {
		__sync_fetch_and_add(&service->unknown_starts, 1);
		return;
	}
	bucket = sonde_block_io_bucket(chosen.latency_bounds, took);
	__sync_fetch_and_add(&service->latency[op][bucket], 1);
	__sync_fetch_and_add(&service->sums[op].latency, took);
	__sync_fetch_and_add(&disk->latency[op][bucket], 1);
	__sync_fetch_and_add(&disk->sums[op].latency, took);
	if (took > chosen.outlier_ns)
		report_outlier(done->owner, took, op, device, done->size);
}

static __always_inline void count(const struct done *done, __u64 start,
				  struct sonde_block_io_rows *rows)
{
	__u32 op = done->operation & (SONDE_BLOCK_IO_OPERATIONS - 1);
	__u32 device = request__device(done->rq);
	struct sonde_block_io_device_row *disk = &rows->disks[device__row(device)];
	struct sonde_block_io_row *service = &rows->services[SONDE_BLOCK_IO_SLOT(done->owner)];

	if (done->bytes) {
		__sync_fetch_and_add(&service->sums[op].bytes, done->bytes);
		__sync_fetch_and_add(&disk->sums[op].bytes, done->bytes);
	}
	if (done->last)
		count_last(done, service, disk, start, device);
}

/* Flushes belong to who asked for them, the first of several; else to the kernel. */
static __always_inline void flushed(struct done *done)
{
	struct request *rq = request__flushed_for(done->rq);

	done->operation = SONDE_BLOCK_IO_FLUSH;
	done->last = true;
	done->known = true;
	if (rq)
		done->owner = submitted__owner(chosen.by_start ? (__u64)rq
							       : (__u64)BPF_CORE_READ(rq, biotail));
	if (!done->owner)
		done->owner = SONDE_SLOT_KERNEL;
}

/* Any completion. */
static __noinline int completed(struct request *rq, __u32 bytes, struct sonde_block_io_rows *rows)
{
	struct done done = {.rq = rq};
	__u64 start = 0;

	if (request__is_flush(rq)) {
		flushed(&done);
	} else if (!request__is_accounted(rq)) {
		submitted__take_of(rq, true, &done.owner);
		if (chosen.from_issue)
			stamps__take_of(rq);
		return 0;
	} else {
		done.operation = request__operation(rq);
		done.last = request__is_last(rq, bytes);
		done.bytes = rq->bio ? bytes : 0;
		done.size = done.bytes;
		done.known = submitted__take_of(rq, done.last, &done.owner);
		if (!done.last)
			parts__add((__u64)rq, done.bytes);
		else if (!done.known || (done.owner & SONDE_BLOCK_IO_PARTIAL))
			done.size += parts__take((__u64)rq);
	}
	if (done.last)
		start = chosen.from_issue ? stamps__take_of(rq) : request__start(rq);
	count(&done, start, rows);
	return 0;
}

/* Nearly every completion: all of a request at once, its submitter noted where it is looked for
 * first. Of others nothing is counted here. The time comes first: to read it waits for all reads
 * before, so the cache misses of the rest would come after those and not beside them. */
static __always_inline bool completed_at_once(struct request *rq, __u64 bytes,
					      struct sonde_block_io_rows *rows)
{
	__u64 now = bpf_ktime_get_ns(), start, took, owner;
	volatile __u64 *place = submitted__nth((__u64)rq, 0);
	struct sonde_block_io_device_row *disk;
	struct sonde_block_io_row *service;
	__u32 op, column;

	if (chosen.from_issue || !place || *place != (__u64)rq || !request__is_whole(rq, bytes))
		return false;
	owner = OWNER(place);
	start = request__start(rq);
	if ((owner & (SONDE_BLOCK_IO_UNDER_WAY | SONDE_BLOCK_IO_PARTIAL)) !=
		    SONDE_BLOCK_IO_UNDER_WAY ||
	    !start || (!chosen.by_start && SONDE_BLOCK_IO_START(owner) != (start & 0xffff)))
		return false;
	OWNER(place) = 0;
	column = device__row(request__device(rq));
	op = request__operation(rq);
	took = took_since(start, now);
	service = &rows->services[SONDE_BLOCK_IO_SLOT(owner)];
	service->sums[op].bytes += bytes;
	service->sums[op].latency += took;
	disk = &rows->disks[column];
	disk->sums[op].bytes += bytes;
	disk->sums[op].latency += took;
	disk->size[op][sonde_block_io_bucket(chosen.size_bounds, bytes)]++;
	column = sonde_block_io_bucket(chosen.latency_bounds, took);
	service->latency[op][column]++;
	disk->latency[op][column]++;
	if (took > chosen.outlier_ns)
		report_outlier(owner, took, op, request__device(rq), bytes);
	return true;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(block_rq_complete, struct request *rq, int error, unsigned int bytes)
{
	struct sonde_block_io_rows *rows = rows__of(bpf_get_smp_processor_id());
	volatile struct sonde_block_io_cpu *here;

	if (!rows)
		return 0;
	here = &rows->cpu;
	here->request = (__u64)rq;
	if (!chosen.alone || !completed_at_once(rq, bytes, rows))
		completed(rq, bytes, rows);
	here->counted = (__u64)rq;
	here->request = 0;
	return 0;
}

/* Counted already it is not under way any more, if its submitter was known. */
static __noinline bool was_missed(struct request *rq, __u32 bytes)
{
	__u64 owner = submitted__owner((__u64)rq);

	return owner && request__is_accounted(rq) && request__is_last(rq, bytes) &&
	       SONDE_BLOCK_IO_START(owner) == (chosen.by_start ? 0 : request__start(rq) & 0xffff);
}

/* An interrupt, or from 7.0 on another task, may complete a request while the program above runs:
 * that one passes it by, because the kernel runs no program within itself. Then this one counts it.
 */
SEC("tp_btf/block_rq_complete")
int BPF_PROG(block_rq_complete_nested, struct request *rq, int error, unsigned int bytes)
{
	struct sonde_block_io_rows *rows = rows__of(bpf_get_smp_processor_id());
	volatile struct sonde_block_io_cpu *here;
	bool counted;

	if (!rows)
		return 0;
	here = &rows->cpu;
	if (here->request)
		counted = here->request == (__u64)rq;
	else
		counted = here->counted == (__u64)rq || !was_missed(rq, bytes);
	/* An address comes back. */
	here->counted = 0;
	if (counted)
		return 0;
	__sync_fetch_and_add(&here->nested, 1);
	if (chosen.alone)
		rows = rows__of(chosen.no_cpu);
	return rows ? completed(rq, bytes, rows) : 0;
}

/* `again`: the second program, for what passed the first one by. To note the same submitter twice
 * does no harm. */
static __always_inline int submitted(__u64 key, const bool again, const bool cas)
{
	if (again && SONDE_BLOCK_IO_TGID(submitted__owner(key)) == bpf_get_current_pid_tgid() >> 32)
		return 0;
	submitted__put(key, 0, false, cas);
	if (chosen.from_issue)
		stamps__put(key, 0, false, false);
	return 0;
}

SEC("tp_btf/block_io_start")
int BPF_PROG(block_io_start, struct request *rq)
{
	return submitted((__u64)rq, false, true);
}

SEC("tp_btf/block_io_start")
int BPF_PROG(block_io_start_again, struct request *rq)
{
	return submitted((__u64)rq, true, true);
}

static __always_inline int inserted(struct request *rq, const bool issued)
{
	__u64 start = request__start(rq);

	/* What the flush machinery handles is known by its bio: submitted__take_of(). */
	if (!chosen.by_start && !((__u32)rq->rq_flags & chosen.flag_flush_sequence))
		submitted__put((__u64)rq, start, true, false);
	if (chosen.from_issue)
		stamps__put((__u64)rq, start, issued, true);
	return 0;
}

static __always_inline int got_request(struct bio *bio, const bool again)
{
	return bio->bi_opf & SONDE_FLUSH_TYPE ? submitted((__u64)bio, again, false) : 0;
}

SEC("tp_btf/block_rq_insert")
int BPF_PROG(block_rq_insert, struct request *rq)
{
	return inserted(rq, false);
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(block_rq_issue, struct request *rq)
{
	return inserted(rq, true);
}

SEC("tp_btf/block_getrq")
int BPF_PROG(block_getrq, struct bio *bio)
{
	return got_request(bio, false);
}

SEC("tp_btf/block_rq_insert")
int BPF_PROG(block_rq_insert_again, struct request *rq)
{
	return inserted(rq, false);
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(block_rq_issue_again, struct request *rq)
{
	return inserted(rq, true);
}

SEC("tp_btf/block_getrq")
int BPF_PROG(block_getrq_again, struct bio *bio)
{
	return got_request(bio, true);
}

/* a54895fa057c "block: remove the request_queue to argument request based tracepoints", 5.11, also
 * in later 5.10; e8a676d61c07 "block: simplify and extend the block_bio_merge tracepoint class" */
SEC("tp_btf/block_rq_insert")
int BPF_PROG(block_rq_insert_before_5_11, struct request_queue *queue, struct request *rq)
{
	return inserted(rq, false);
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(block_rq_issue_before_5_11, struct request_queue *queue, struct request *rq)
{
	return inserted(rq, true);
}

SEC("tp_btf/block_getrq")
int BPF_PROG(block_getrq_before_5_11, struct request_queue *queue, struct bio *bio)
{
	return got_request(bio, false);
}
