/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who submitted a request, from its submission to its completion; when it was issued, where the
 * request does not say; how much of it is done already. */
#pragma once

#include "lib/block_request.h"
#include "lib/service.h"

/* Requests under way, by address. A request's place stays its own when it is done, for the next one
 * at its address, until another one needs it; one that finds its two sets full of requests under
 * way takes the place of one of them, whose submitter is then unknown. Size: block_io.in_flight. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* aligned to cache lines */
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct sonde_block_io_set);
} block_io_submitted SEC(".maps");

/* Bytes done of requests that complete in parts; deleted with the last part. Few at once. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} block_io_parts SEC(".maps");

/* block_io.source=issue only; deleted at completion. Size: block_io.in_flight. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct sonde_block_io_stamp);
} block_io_stamps SEC(".maps");

/* The verifier knows an address as a pointer and allows no arithmetic on it but this. */
static __always_inline __u32 submitted__low_half(__u64 key)
{
	__u32 low;

	asm volatile("%0 = %1" : "=w"(low) : "w"((__u32)key));
	return low;
}

/* A place in the table: where the request's address lies. */
static __always_inline volatile __u64 *submitted__place(__u32 number)
{
	__u32 index = number / SONDE_BLOCK_IO_WAYS;
	volatile struct sonde_block_io_set *set = bpf_map_lookup_elem(&block_io_submitted, &index);

	return set ? &set->request[number % SONDE_BLOCK_IO_WAYS] : NULL;
}

/* The owner of that place. */
#define OWNER(place) ((place)[SONDE_BLOCK_IO_WAYS])

/* The i-th place to look for a request in. */
static __always_inline volatile __u64 *submitted__nth(__u64 key, __u32 i)
{
	__u32 low = submitted__low_half(key);

	return submitted__place(i < SONDE_BLOCK_IO_WAYS
					? sonde_block_io_home(low, chosen.set_shift) ^ i
					: sonde_block_io_refuge(low, chosen.set_shift) +
						  i % SONDE_BLOCK_IO_WAYS);
}

/* Apart, as all that is rare: what always runs is then short and lies together. */
static __noinline volatile __u64 *submitted__elsewhere(__u64 key)
{
	for (__u32 i = 1; i < 2 * SONDE_BLOCK_IO_WAYS; i++) {
		volatile __u64 *place = submitted__nth(key, i);

		if (place && *place == key)
			return place;
	}
	return NULL;
}

/* NULL when the request has no place. */
static __always_inline volatile __u64 *submitted__find(__u64 key)
{
	volatile __u64 *place = submitted__nth(key, 0);

	return place && *place == key ? place : submitted__elsewhere(key);
}

/* Takes the place for `key` if it still holds `other`. Without compare-and-swap (before 5.12) two
 * CPUs that reach for the same one within nanoseconds leave one request without a submitter. */
static __always_inline bool submitted__take_place(volatile __u64 *place, __u64 other, __u64 key,
						  const bool cas)
{
	if (cas)
		return __sync_val_compare_and_swap(place, other, key) == other;
	*place = key;
	return true;
}

/* A free place, at home first; else one of a request that is done. */
static __always_inline volatile __u64 *submitted__claim(__u64 key, const bool cas)
{
	volatile __u64 *place;

	for (__u32 i = 0; i < 2 * SONDE_BLOCK_IO_WAYS; i++) {
		place = submitted__nth(key, i);
		if (place && !*place && submitted__take_place(place, 0, key, cas))
			return place;
	}
	for (__u32 i = 0; i < 2 * SONDE_BLOCK_IO_WAYS; i++) {
		__u64 other;

		place = submitted__nth(key, i);
		if (!place)
			continue;
		other = *place;
		if (!(OWNER(place) & SONDE_BLOCK_IO_UNDER_WAY) &&
		    submitted__take_place(place, other, key, cas))
			return place;
	}
	place = submitted__nth(key, 0);
	if (place)
		*place = key;
	return place;
}

/* Old kernels refuse a program with a compare-and-swap anywhere. */
static __noinline volatile __u64 *submitted__claim_atomically(__u64 key)
{
	return submitted__claim(key, true);
}

static __noinline volatile __u64 *submitted__claim_plainly(__u64 key)
{
	return submitted__claim(key, false);
}

/* The current task submits. `again` is set where the same submission may be seen more than once:
 * then the first one stands. `start` tells it from an earlier one at the same address. */
static __always_inline void submitted__put(__u64 key, __u64 start, const bool again, const bool cas)
{
	__u64 tgid = bpf_get_current_pid_tgid() >> 32;
	volatile __u64 *place = submitted__find(key);
	__u64 owner;

	if (place && again) {
		owner = OWNER(place);
		if ((owner & SONDE_BLOCK_IO_UNDER_WAY) &&
		    SONDE_BLOCK_IO_START(owner) == (start & 0xffff))
			return;
	}
	if (!place)
		place = cas ? submitted__claim_atomically(key) : submitted__claim_plainly(key);
	if (place)
		OWNER(place) = tgid << 32 | (start & 0xffff) << 16 | SONDE_BLOCK_IO_UNDER_WAY |
			       service__slot(tgid);
}

/* What is known of a request under way, 0 when nothing. */
static __always_inline __u64 submitted__owner(__u64 key)
{
	volatile __u64 *place = submitted__find(key);
	__u64 owner = place ? OWNER(place) : 0;

	return owner & SONDE_BLOCK_IO_UNDER_WAY ? owner : 0;
}

/* Whose it is; false when nobody is known. With `start` only if it was submitted then. */
static __always_inline bool submitted__take(__u64 key, __u64 start, bool last, __u64 *to)
{
	volatile __u64 *place = submitted__find(key);
	__u64 owner = place ? OWNER(place) : 0;

	if (!(owner & SONDE_BLOCK_IO_UNDER_WAY) || SONDE_BLOCK_IO_START(owner) != (start & 0xffff))
		return false;
	*to = owner;
	OWNER(place) = last ? 0 : owner | SONDE_BLOCK_IO_PARTIAL;
	return true;
}

/* A write with a flush is inserted and issued by the flush machinery, from anywhere, or never (when
 * it is empty). Without block_io_start its bio, which stays its last one, is what was seen in its
 * submitter's hands. */
static __always_inline bool submitted__take_of(struct request *rq, bool last, __u64 *to)
{
	if (chosen.by_start)
		return submitted__take((__u64)rq, 0, last, to);
	return submitted__take((__u64)rq, request__start(rq), last, to) ||
	       submitted__take((__u64)rq->biotail, 0, last, to);
}

static __always_inline void parts__add(__u64 request, __u64 bytes)
{
	__u64 *done = bpf_map_lookup_elem(&block_io_parts, &request);

	if (done)
		*done += bytes;
	else
		bpf_map_update_elem(&block_io_parts, &request, &bytes, BPF_ANY);
}

static __always_inline __u64 parts__take(__u64 request)
{
	__u64 *done = bpf_map_lookup_elem(&block_io_parts, &request);
	__u64 bytes = 0;

	if (done) {
		bytes = *done;
		bpf_map_delete_elem(&block_io_parts, &request);
	}
	return bytes;
}

/* Until it is issued, a request counts from when it was first seen; from its first issue
 * afterwards, however often it is requeued. */
static __always_inline void stamps__put(__u64 key, __u64 start, const bool issued, const bool again)
{
	struct sonde_block_io_stamp *known = bpf_map_lookup_elem(&block_io_stamps, &key);
	struct sonde_block_io_stamp stamp = {.start = start, .issued = issued};

	if (known && again && (!known->start || known->start == (__u32)start) &&
	    (known->issued || !issued))
		return;
	stamp.ns = bpf_ktime_get_ns();
	bpf_map_update_elem(&block_io_stamps, &key, &stamp, BPF_ANY);
}

static __always_inline __u64 stamps__take(__u64 key, __u64 start)
{
	struct sonde_block_io_stamp *known = bpf_map_lookup_elem(&block_io_stamps, &key);
	__u64 ns = 0;

	if (!known)
		return 0;
	if (!known->start || known->start == (__u32)start)
		ns = known->ns;
	bpf_map_delete_elem(&block_io_stamps, &key);
	return ns;
}

/* Of an empty write with a flush, what is known of its bio. */
static __always_inline __u64 stamps__take_of(struct request *rq)
{
	__u64 ns = stamps__take((__u64)rq, request__start(rq)), of_bio = 0;

	if (!chosen.by_start)
		of_bio = stamps__take((__u64)rq->biotail, 0);
	return ns ? ns : of_bio;
}
