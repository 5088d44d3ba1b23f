// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Block I/O of every service and every disk, counted as /proc/diskstats counts it: when a request
 * completes, for the service whose task submitted it. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "lib/block_submitter.h"
#include "lib/facts.h"
#include "lib/rows.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 latency_bounds[SONDE_BUCKETS] = {};
const volatile __u64 size_bounds[SONDE_BUCKETS] = {};
/* A request that took longer is reported as a fact. */
const volatile __u64 outlier_ns = ~0ull;
/* The kernel never runs a program within itself on one CPU, so what it counts in its CPU's rows
 * needs no atomic instructions; completions within it go into the row of no CPU. */
const volatile bool alone = false;
const volatile __u32 no_cpu = 0;

/* Counters of each service, 288 KiB a CPU, and of each disk, 138 KiB a CPU; one CPU more than
 * there are. */
ROWS(block_io_rows, SONDE_SLOTS, struct sonde_block_io_row);
ROWS(block_io_device_rows, SONDE_BLOCK_IO_COLUMNS, struct sonde_block_io_device_row);
ROWS(block_io_cpu_rows, 1, struct sonde_block_io_cpu);

/* Which disk has which row. The agent fills in those it finds, programs those that come later;
 * cells are never cleared. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sonde_block_io_devices);
} block_io_devices SEC(".maps");

/* `plain` is a constant at every call. */
#define COUNT(counter, n)                                                                          \
	do {                                                                                       \
		if (plain)                                                                         \
			(counter) += (n);                                                          \
		else                                                                               \
			__sync_fetch_and_add(&(counter), (n));                                     \
	} while (0)

/* The first I/O of two new disks on two CPUs within nanoseconds may be counted for one of them. */
static __always_inline __u32 device__row(__u32 number)
{
	__u32 zero = 0, cell = sonde_block_io_cell_of(number);
	volatile struct sonde_block_io_devices *table =
		bpf_map_lookup_elem(&block_io_devices, &zero);

	if (!table || !number)
		return SONDE_BLOCK_IO_OTHER;
	for (int i = 0; i < SONDE_BLOCK_IO_DEVICES; i++) {
		__u32 index = (cell + i) & (SONDE_BLOCK_IO_DEVICES - 1);

		if (!table->number[index])
			table->number[index] = number;
		if (table->number[index] == number)
			return index;
	}
	return SONDE_BLOCK_IO_OTHER;
}

struct done {
	struct request *rq;
	__u32 operation;
	__u32 bytes; /* now; `size` in all */
	__u64 size;
	__u64 owner;
	__u32 slot;
	bool known; /* who submitted it */
	bool last;
};

static __always_inline void report_outlier(const struct done *done, __u64 took, __u32 device)
{
	struct sonde_outlier *outlier = facts__reserve(SONDE_KIND_OUTLIER, sizeof(*outlier));

	if (!outlier)
		return;
	outlier->value = took;
	outlier->tgid = SONDE_BLOCK_IO_TGID(done->owner);
	outlier->pid = outlier->tgid;
	outlier->slot = done->slot;
	outlier->what = done->operation;
	outlier->detail[0] = device;
	outlier->detail[1] = done->size;
	/* Whoever runs now is not who submitted it. */
	__builtin_memset(outlier->comm, 0, sizeof(outlier->comm));
	facts__submit(outlier);
}

static __always_inline void count_last(const struct done *done, struct sonde_block_io_row *service,
				       struct sonde_block_io_device_row *disk, __u64 start,
				       __u32 device, const bool plain)
{
	__u32 op = done->operation & (SONDE_BLOCK_IO_OPERATIONS - 1);
	__u64 now = bpf_ktime_get_ns(), took = 0;
	__u32 bucket;

	bucket = sonde_bucket(size_bounds, done->size);
	COUNT(disk->size[op].buckets[bucket], 1);
	if (!done->known)
		COUNT(service->unknown_submitters, 1);
	if (!start) {
		COUNT(service->unknown_starts, 1);
		return;
	}
	if ((__s64)(now - start) > 0)
		took = now - start;
	bucket = sonde_bucket(latency_bounds, took);
	COUNT(service->latency[op].buckets[bucket], 1);
	COUNT(service->latency[op].sum, took);
	COUNT(disk->latency[op].buckets[bucket], 1);
	COUNT(disk->latency[op].sum, took);
	if (took > outlier_ns)
		report_outlier(done, took, device);
}

static __always_inline void count(const struct done *done, __u64 start, __u32 cpu, const bool plain)
{
	__u32 op = done->operation & (SONDE_BLOCK_IO_OPERATIONS - 1);
	__u32 device = request__device(done->rq);
	__u32 index = cpu * SONDE_BLOCK_IO_COLUMNS + device__row(device);
	struct sonde_block_io_device_row *disk = bpf_map_lookup_elem(&block_io_device_rows, &index);
	struct sonde_block_io_row *service = rows__of_slot(&block_io_rows, cpu, done->slot);

	if (!disk || !service)
		return;
	if (done->bytes) {
		COUNT(service->bytes[op], done->bytes);
		COUNT(disk->size[op].sum, done->bytes);
	}
	if (done->last)
		count_last(done, service, disk, start, device, plain);
}

/* Flushes belong to who asked for them, the first of several; else to the kernel. */
static __always_inline void flushed(struct done *done)
{
	struct request *rq = request__flushed_for(done->rq);
	struct place place;

	done->operation = SONDE_BLOCK_IO_FLUSH;
	done->last = true;
	done->known = true;
	done->slot = SONDE_SLOT_KERNEL;
	if (!rq)
		return;
	done->owner =
		submitted__owner(&place, by_start ? (__u64)rq : (__u64)BPF_CORE_READ(rq, biotail));
	if (done->owner)
		done->slot = SONDE_BLOCK_IO_SLOT(done->owner);
}

static __always_inline int completed(struct request *rq, __u32 bytes, __u32 cpu, const bool plain)
{
	struct done done = {.rq = rq};
	__u64 start = 0;

	if (request__is_flush(rq)) {
		flushed(&done);
	} else if (!request__is_accounted(rq)) {
		submitted__take_of(rq, true, &done.owner);
		if (from_issue)
			stamps__take_of(rq);
		return 0;
	} else {
		done.operation = request__operation(rq);
		done.last = request__is_last(rq, bytes);
		done.bytes = rq->bio ? bytes : 0;
		done.size = done.bytes;
		done.known = submitted__take_of(rq, done.last, &done.owner);
		done.slot = SONDE_BLOCK_IO_SLOT(done.owner);
		if (!done.last)
			parts__add((__u64)rq, done.bytes);
		else if (!done.known || (done.owner & SONDE_BLOCK_IO_PARTIAL))
			done.size += parts__take((__u64)rq);
	}
	if (done.last)
		start = from_issue ? stamps__take_of(rq) : request__start(rq);
	count(&done, start, cpu, plain);
	return 0;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(block_rq_complete, struct request *rq, int error, unsigned int bytes)
{
	__u32 cpu = bpf_get_smp_processor_id();
	volatile struct sonde_block_io_cpu *here = bpf_map_lookup_elem(&block_io_cpu_rows, &cpu);

	if (!here)
		return 0;
	here->inside++;
	here->request = (__u64)rq;
	if (alone)
		completed(rq, bytes, cpu, true);
	else
		completed(rq, bytes, cpu, false);
	here->inside--;
	return 0;
}

/* Counted already it is not under way any more, if its submitter was known. */
static __always_inline bool was_missed(struct request *rq, __u32 bytes)
{
	struct place place;
	__u64 owner = submitted__owner(&place, (__u64)rq);

	return owner && request__is_accounted(rq) && request__is_last(rq, bytes) &&
	       SONDE_BLOCK_IO_START(owner) == (by_start ? 0 : request__start(rq) & 0xffff);
}

/* An interrupt, or from 7.0 on another task, may complete a request while the program above runs:
 * that one passes it by, because the kernel runs no program within itself. Then this one counts it.
 */
SEC("tp_btf/block_rq_complete")
int BPF_PROG(block_rq_complete_nested, struct request *rq, int error, unsigned int bytes)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct sonde_block_io_cpu *here = bpf_map_lookup_elem(&block_io_cpu_rows, &cpu);

	if (!here)
		return 0;
	if (here->inside ? here->request == (__u64)rq : !was_missed(rq, bytes))
		return 0;
	__sync_fetch_and_add(&here->nested, 1);
	return completed(rq, bytes, alone ? no_cpu : cpu, false);
}

/* `again`: the second program, for what passed the first one by. To note the same submitter twice
 * does no harm. */
static __always_inline int submitted(__u64 key, const bool again, const bool cas)
{
	struct place place;
	__u64 tgid = bpf_get_current_pid_tgid() >> 32;

	if (again && SONDE_BLOCK_IO_TGID(submitted__owner(&place, key)) == tgid)
		return 0;
	submitted__put(key, 0, false, cas);
	if (from_issue)
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
	if (!by_start && !((__u32)rq->rq_flags & flag_flush_sequence))
		submitted__put((__u64)rq, start, true, false);
	if (from_issue)
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
