/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Classic histograms with exact, configurable bounds, counted in the kernel. */
#pragma once

#include "sonde/abi.h"

/* Buckets of every histogram, the one for +Inf included; unused bounds are the largest integer. */
#define SONDE_BUCKETS 32

struct sonde_histogram {
	__u64 buckets[SONDE_BUCKETS]; /* not cumulative */
	__u64 sum;
	__u64 unused; /* keeps the size a multiple of 16 */
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_histogram) == 272, "wire format");

/* Index of the first bound that is >= value, as Prometheus counts `le`; 31 when there is none.
 * A binary search without a loop: five compares, no verifier state. The bounds lie in rodata that
 * the agent fills in before loading: read through a pointer without `volatile` they would be the
 * zeros they were compiled with. */
static inline __u32 sonde_bucket(const volatile __u64 *bounds, __u64 value)
{
	__u32 i = 0;

	if (value > bounds[15])
		i = 16;
	if (value > bounds[(i + 7) & 31])
		i += 8;
	if (value > bounds[(i + 3) & 31])
		i += 4;
	if (value > bounds[(i + 1) & 31])
		i += 2;
	if (value > bounds[i & 31])
		i += 1;
	return i & 31;
}
