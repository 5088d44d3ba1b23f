/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The head of an HTTP/1.x message, looked through in the record that was made of it: whether a
 * chunked body follows, and where. */
#pragma once

#define HEAD_END   0x0a0d0a0d /* as it lies in memory */
#define HEAD_LEAST 32 /* none that says so is shorter */

static __always_inline bool head__is_upper(__u8 byte)
{
	return (__u8)(byte - 'A') <= 'Z' - 'A';
}

/* A message with a body begins with HTTP or a method, but with none of these. */
static __always_inline bool head__may_begin(const __u8 *at)
{
	if (!head__is_upper(at[0]) || !head__is_upper(at[1]) || !head__is_upper(at[2]))
		return false;
	if (at[0] == 'G')
		return at[1] != 'E' || at[2] != 'T';
	if (at[0] != 'H')
		return true;
	/* HEAD; HTTP/1.x 204, 304 */
	return at[1] != 'E' && !(at[10] == '0' && at[11] == '4' && (at[9] == '2' || at[9] == '3'));
}

/* Bytes of `word` that are carriage returns have their highest bit set; bytes above one may, too. */
static __always_inline __u64 head__returns(__u64 word)
{
	word ^= 0x0d0d0d0d0d0d0d0dull;
	return (word - 0x0101010101010101ull) & ~word & 0x8080808080808080ull;
}

static __always_inline __u32 head__lowest(__u64 bits)
{
	bits >>= 7;
	return (((bits & -bits) - 1) & 0x0101010101010101ull) * 0x0101010101010101ull >> 56;
}

/* Eight bytes and those beside them. */
struct head_word {
	__u8 bytes[24];
};

#define HEAD_CHUNKED 64 /* a line ends with it */

/* Looks at the carriage returns of a word: how many of its bytes and those behind it belong to the
 * head, if that ends here, and whether the body is chunked. */
__noinline __u32 socket_head_line(const struct head_word *word, __u64 returns)
{
	__u32 found = 0;

	if (!word)
		return 0;
	/* A header has a name, a colon and its end: no more than two in eight bytes. */
	for (int i = 0; i < 2 && returns; i++, returns &= returns - 1) {
		const __u8 *end = word->bytes + 8 + (head__lowest(returns) & 7);

		/* "chunked" in any case, at the end of its line. */
		if (*end == '\r' &&
		    (*(const __u64 *)(end - 8) >> 8 | 0x20202020202020) == 0x64656b6e756863)
			found |= HEAD_CHUNKED;
		if (*(const __u32 *)end == HEAD_END)
			return found | ((head__lowest(returns) & 7) + 4);
	}
	return found;
}

/* The length of the head at `bytes`, if a chunked body follows it, otherwise 0. `room`, a constant
 * and a multiple of 8, can be read; what lies beyond `length` counts for nothing. */
static __always_inline __u32 head__of_chunked(const __u8 *bytes, __u32 length, const __u32 room)
{
	__u32 found, chunked = 0;

	if (!head__may_begin(bytes))
		return 0;
	for (__u32 at = 8; at + 16 <= room; at += 8) {
		__u64 returns = head__returns(*(const __u64 *)(bytes + at));

		if (at >= length)
			break;
		if (!returns)
			continue;
		found = socket_head_line((const struct head_word *)(bytes + at - 8), returns);
		chunked |= found & HEAD_CHUNKED;
		found &= HEAD_CHUNKED - 1;
		if (found)
			return chunked && at + found <= length ? at + found : 0;
	}
	return 0;
}

/* Global: verified once each. */
#define HEAD_OF_CHUNKED(room)                                                                      \
	struct head_##room {                                                                       \
		__u8 bytes[room];                                                                  \
	};                                                                                         \
	__noinline __u32 socket_head_##room(const struct head_##room *head, __u32 length)          \
	{                                                                                          \
		return head ? head__of_chunked(head->bytes, length, room) : 0;                     \
	}

HEAD_OF_CHUNKED(80)
HEAD_OF_CHUNKED(464)
HEAD_OF_CHUNKED(2000)
