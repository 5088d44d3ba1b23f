/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Panics of Rust and Go programs: bpf/rust.bpf.c and agent/probes/rust.cpp. */
#pragma once

#include "sonde/abi.h"

struct sonde_panic_row {
	__u64 rust;
	__u64 go;
};

SONDE_STATIC_ASSERT(sizeof(struct sonde_panic_row) == 16, "wire format");
