/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Go's calling convention (ABIInternal), its strings, and reads of a target's memory that may fail.
 * A probe sits where the arguments are still in their registers. */
#pragma once

#include "lib/uprobe.h"
#include "sonde/abi.h"

#if defined(__TARGET_ARCH_arm64)
#define GO_ARG0(ctx)	((ctx)->regs[0])
#define GO_ARG1(ctx)	((ctx)->regs[1])
#define GO_ARG2(ctx)	((ctx)->regs[2])
#define GO_ARG3(ctx)	((ctx)->regs[3])
#define GO_ARG4(ctx)	((ctx)->regs[4])
#define GO_ARG5(ctx)	((ctx)->regs[5])
#define GO_ARG6(ctx)	((ctx)->regs[6])
#define GO_ROUTINE(ctx) ((ctx)->regs[28])
#else
#define GO_ARG0(ctx)	((ctx)->ax)
#define GO_ARG1(ctx)	((ctx)->bx)
#define GO_ARG2(ctx)	((ctx)->cx)
#define GO_ARG3(ctx)	((ctx)->di)
#define GO_ARG4(ctx)	((ctx)->si)
#define GO_ARG5(ctx)	((ctx)->r8)
#define GO_ARG6(ctx)	((ctx)->r9)
#define GO_ROUTINE(ctx) ((ctx)->r14)
#endif

/* Whether the hit is to come again, because the stack has to grow first. */
static __always_inline bool go__comes_again(struct pt_regs *ctx)
{
#if defined(__TARGET_ARCH_x86)
	/* jbe: carry or zero. At other sites neither is set: the jump was not taken. */
	return (ctx->flags & 0x41) && (bpf_get_attach_cookie(ctx) & SONDE_UPROBE_COMES_AGAIN);
#else
	return false;
#endif
}

/* A program that sees each call once. */
#define GO_SITE(name)                                                                              \
	static __always_inline int name##_hit(struct pt_regs *ctx);                                \
	SEC("uprobe.multi")                                                                        \
	int name(struct pt_regs *ctx)                                                              \
	{                                                                                          \
		return go__comes_again(ctx) ? 0 : name##_hit(ctx);                                 \
	}                                                                                          \
	static __always_inline int name##_hit(struct pt_regs *ctx)

struct go_string {
	__u64 text;
	__u64 length;
};

#define GO_ROUTINE_OF(ctx) {.g = GO_ROUTINE(ctx), .tgid = bpf_get_current_pid_tgid() >> 32}

static __always_inline bool go__read(void *to, __u32 bytes, __u64 from)
{
	return bpf_probe_read_user(to, bytes, (void *)from) == 0;
}

/* 0 where it cannot be read. */
static __always_inline __u64 go__word(__u64 from)
{
	__u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)from);
	return word;
}

static __always_inline struct go_string go__string(__u64 from)
{
	struct go_string string = {};

	bpf_probe_read_user(&string, sizeof(string), (void *)from);
	return string;
}

/* Copies at most `size` (a power of two) less one byte; how many. */
static __always_inline __u32 go__text(char *to, const __u32 size, struct go_string string)
{
	__u32 length = string.length < size - 1 ? string.length : size - 1;

	/* 6.1's verifier wants to see it bounded. */
	asm volatile("" : "+r"(length));
	length &= size - 1;
	return length && bpf_probe_read_user(to, length, (void *)string.text) == 0 ? length : 0;
}
