/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Life of processes: bpf/process.bpf.c and agent/probes/process.cpp. All four are facts. */
#pragma once

#include "sonde/abi.h"

enum sonde_process_kind {
	SONDE_PROCESS_FORK = SONDE_KIND_FAMILY,
	SONDE_PROCESS_EXEC,
	SONDE_PROCESS_EXIT,
};

#define SONDE_PROCESS_KERNEL 1 /* a kernel thread */
#define SONDE_PROCESS_OOM    2 /* the kernel chose it as a victim for lack of memory */
#define SONDE_PROCESS_SCRIPT 4 /* executed through a #! line */

/* A new thread group; it has its parent's slot already. */
struct sonde_process_fork {
	struct sonde_record record;
	struct sonde_process process;
	struct sonde_process parent;
	__u32 flags;
	__u32 padding;
};

/* The last thread of a group left. */
struct sonde_process_exit {
	struct sonde_record record;
	struct sonde_process process;
	__u32 slot;
	__u32 status; /* as wait(2) gives it */
	__u32 flags;
	__u32 padding;
};

#define SONDE_CGROUP_LEVELS 4 /* the leaf and its ancestors: pod, container, unit inside it */
#define SONDE_CGROUP_NAME   128
#define SONDE_EXEC_PATH	    256
#define SONDE_EXEC_NAME	    64
#define SONDE_EXEC_ARGS	    512

/* Everything that may decide a name, read while the process cannot yet go away. Ends in
 * `environ_size` bytes of the environment: none, SONDE_EXEC_SMALL or SONDE_EXEC_LARGE are
 * reserved. */
struct sonde_process_exec {
	struct sonde_record record;
	struct sonde_process process;
	struct sonde_process parent;
	__u64 cgroup_id;	/* in the unified hierarchy; 1 is its root */
	__u64 memory_cgroup_id; /* in the memory hierarchy of version 1, 0 without one */
	__u32 flags;
	__u32 args_size;    /* bytes of `args` that were read */
	__u32 environ_size; /* bytes of the environment that were read */
	__u32 environ_left; /* bytes that were not */
	char comm[16];
	char exe_name[SONDE_EXEC_NAME]; /* file name of the executable, links resolved */
	char filename[SONDE_EXEC_PATH]; /* path as it was given */
	char args[SONDE_EXEC_ARGS];
	/* From the leaf up, "" at the end. */
	char cgroup[SONDE_CGROUP_LEVELS][SONDE_CGROUP_NAME];
	char memory_cgroup[SONDE_CGROUP_LEVELS][SONDE_CGROUP_NAME];
};

#define SONDE_EXEC_SMALL 2048
#define SONDE_EXEC_LARGE 16384

SONDE_STATIC_ASSERT(sizeof(struct sonde_process_fork) == 56, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_process_exit) == 48, "wire format");
SONDE_STATIC_ASSERT(sizeof(struct sonde_process_exec) == 1952, "wire format");
