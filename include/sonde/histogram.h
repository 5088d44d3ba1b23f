/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Classic histograms with exact, configurable bounds, counted in the kernel. */
#pragma once

#include "sonde/abi.h"

/* Buckets of every histogram, the one for +Inf included; unused bounds are 2^63 - 1. */
#define SONDE_BUCKETS 32

struct sonde_histogram {
	__u64 buckets[SONDE_BUCKETS]; /* not cumulative */
	__u64 sum;
	__u64 unused; /* keeps the size a multiple of 16 */
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_histogram) == 272, "wire format");

/* Keeps a number within a mask; 6.1's verifier forgets the range of what was added up, the compiler
 * does not. */
static inline __attribute__((always_inline)) __u64 sonde_within(__u64 i, __u64 mask)
{
	__asm__("" : "+r"(i));
	return i & mask;
}

/* 1 where the bound is below the value. */
static inline __attribute__((always_inline)) __u64 sonde_below(__u64 bound, __u64 value)
{
	return (bound - value) >> 63;
}

/* Index of the first bound that is >= value, as Prometheus counts `le`; 31 when there is none.
 * Without branches, which latencies would mislead, and in three steps that compare with three
 * bounds at once. Values and bounds are below 2^63; unused bounds are the largest of them. The
 * bounds lie in rodata that the agent fills in before loading: read through a pointer without
 * `volatile` they would be the zeros they were compiled with. */
static inline __attribute__((always_inline)) __u32 sonde_bucket(const volatile __u64 *bounds,
								__u64 value)
{
	__u64 eights = sonde_below(bounds[7], value) + sonde_below(bounds[15], value) +
		       sonde_below(bounds[23], value);
	__u64 i = sonde_within(eights << 3, 24);
	const volatile __u64 *of = bounds + i;
	__u64 twos =
		sonde_below(of[1], value) + sonde_below(of[3], value) + sonde_below(of[5], value);

	i = sonde_within(i + (twos << 1), SONDE_BUCKETS - 2);
	return (__u32)sonde_within(i + sonde_below(bounds[i], value), SONDE_BUCKETS - 1);
}
