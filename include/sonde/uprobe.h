/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What all uprobes share: bpf/lib/uprobe.h and agent/probes/executables.cpp. */
#pragma once

#include "sonde/abi.h"

/* Files with probes at one time. A file keeps its number as long as it has probes; the number is the
 * upper half of every cookie, the lower half is the site's own. */
#define SONDE_UPROBE_FILES 1024

/* A bit that a site's own half may have: the site is the jump of Go's check of the stack, and the call
 * comes here again where that jump is taken (programs of Go up to 1.20). */
#define SONDE_UPROBE_COMES_AGAIN (1u << 31)

/* A goroutine of a process. Its address comes back for another one once it has ended. */
struct sonde_go_routine {
	__u64 g;
	__u32 tgid;
	__u32 padding;
};

/* Hits of each file's probes, one row a CPU; never cleared. */
struct sonde_uprobe_hits {
	__u64 hits[SONDE_UPROBE_FILES];
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_uprobe_hits) == 8192, "wire format");
