/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Per-CPU counters in an mmapable array: each CPU writes its own row of SONDE_SLOTS columns. The
 * agent multiplies the size of maps named *_rows by the number of CPUs. */
#pragma once

#include "sonde/abi.h"

#define ROWS(name, columns, row_type)                                                              \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(map_flags, BPF_F_MMAPABLE);                                                 \
		__uint(max_entries, columns);                                                      \
		__type(key, __u32);                                                                \
		__type(value, row_type);                                                           \
	} name SEC(".maps")

/* Counts in the field of this CPU's row, of a map with one row a CPU. What counts may be interrupted
 * by what counts. */
#define ROWS_COUNT(map, row_type, field)                                                           \
	do {                                                                                       \
		__u32 count_cpu = bpf_get_smp_processor_id();                                      \
		row_type *count_row = bpf_map_lookup_elem(&map, &count_cpu);                       \
		if (count_row)                                                                     \
			__sync_fetch_and_add(&count_row->field, 1);                                \
	} while (0)

/* The row of a slot on a CPU, NULL only when the map is too small. */
#define rows__of_slot(map, cpu, slot)                                                              \
	({                                                                                         \
		__u32 rows_index = (cpu) * SONDE_SLOTS + (slot);                                   \
		bpf_map_lookup_elem(map, &rows_index);                                             \
	})
