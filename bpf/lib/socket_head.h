/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The heads of HTTP/1.x messages, looked through in the record that was made of them: whether a body
 * follows that can be followed, and where. Chunked ones of any message, those with a length of
 * requests: whether an answer has one its request decides (RFC 9112, 6.3). */
#pragma once

#include "sonde/socket.h"

#define HEAD_END   0x0a0d0a0d /* as it lies in memory */
#define HEAD_LEAST 32 /* none with a body is shorter */
#define HEAD_MOST  2000 /* no more of a record is looked through */

/* What is known of the head that is looked through, in `digits`; `left` is the length of its body,
 * `position` where it begins, then where it ends; `length` how much there is to look through. */
enum head_flags {
	HEAD_REQUEST = 1,
	HEAD_RESPONSE = 2,
	HEAD_BODILESS = 4,
	HEAD_GETS = 8, /* GET or HEAD, mostly without a body */
	HEAD_CHUNKED = 16,
	HEAD_LENGTH = 32,
	HEAD_WHOLE = 64, /* the record has all of its call */
};

static __always_inline bool head__is_upper(__u8 byte)
{
	return (__u8)(byte - 'A') <= 'Z' - 'A';
}

/* Letters and a blank: not the rest of a status line ("TTP/1.1 304"), not a header ("WWW-Authenticate:"). */
static __always_inline bool head__is_method(const __u8 *at)
{
	for (int i = 3; i < 12; i++)
		if (!head__is_upper(at[i]))
			return at[i] == ' ';
	return false;
}

/* A message begins with HTTP or a method; 12 bytes can be read. */
static __always_inline __u8 head__kind(const __u8 *at)
{
	bool ends_in_04;

	if (!head__is_upper(at[0]) || !head__is_upper(at[1]) || !head__is_upper(at[2]))
		return 0;
	if (at[0] == 'G' && at[1] == 'E' && at[2] == 'T')
		return HEAD_REQUEST | HEAD_GETS;
	if (at[0] != 'H')
		return head__is_method(at) ? HEAD_REQUEST : 0;
	if (at[1] == 'E')
		return HEAD_REQUEST | HEAD_GETS;
	ends_in_04 = at[10] == '0' && at[11] == '4';
	return at[9] == '1' || (ends_in_04 && (at[9] == '2' || at[9] == '3'))
		       ? HEAD_RESPONSE | HEAD_BODILESS
		       : HEAD_RESPONSE;
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

/* The first byte of a line, all that its caller can vouch for. */
struct head_letter {
	__u8 byte;
};

/* A line that begins with a C: the length of the body? */
__noinline int socket_head_length(struct sonde_socket_chunks *head, const struct head_letter *line)
{
	__u64 text[4], length = 0;
	__u32 digits = 0;

	if (!head || !line || bpf_probe_read_kernel(text, sizeof(text), line))
		return 0;
	/* "content-length:" in any case. */
	if ((text[0] | 0x2020202020202020) != 0x2d746e65746e6f63 ||
	    (text[1] << 8 | 0x2020202020202000) != 0x3a6874676e656c00)
		return 0;
	for (int i = 15; i < 32; i++) {
		__u8 byte = ((__u8 *)text)[i];

		if ((byte == ' ' || byte == '\t') && !digits)
			continue;
		if ((__u8)(byte - '0') > 9)
			break;
		length = length * 10 + (byte - '0');
		digits++;
	}
	if (!digits || digits > 10 || length > 0x7fffffff)
		return 0;
	head->left = length;
	head->digits |= HEAD_LENGTH;
	return 0;
}

enum head_ends {
	HEAD_GOES_ON,
	HEAD_ENDS,	  /* the next message follows it */
	HEAD_BODY,	  /* one with a length follows */
	HEAD_CHUNKED_BODY,
	HEAD_OTHER_BODY,
};

static __always_inline int head__ends(struct sonde_socket_chunks *head)
{
	__u8 flags = head->digits;

	if (flags & HEAD_BODILESS)
		return HEAD_ENDS;
	if (flags & HEAD_CHUNKED)
		return HEAD_CHUNKED_BODY;
	if (flags & HEAD_RESPONSE)
		return HEAD_OTHER_BODY;
	return (flags & HEAD_LENGTH) && head->left ? HEAD_BODY : HEAD_ENDS;
}

/* Looks at the carriage returns of the word at `at`. */
static __always_inline int head__line(struct sonde_socket_chunks *head,
				      const struct head_word *word, __u32 at, __u64 returns)
{
	/* A header has a name, a colon and its end: no more than two in eight bytes. */
	for (int i = 0; i < 2 && returns; i++, returns &= returns - 1) {
		__u32 index = head__lowest(returns) & 7;
		const __u8 *end = word->bytes + 8 + index;

		if (*end != '\r' || at + index < head->position)
			continue;
		/* "chunked" in any case, at the end of its line. */
		if ((*(const __u64 *)(end - 8) >> 8 | 0x20202020202020) == 0x64656b6e756863)
			head->digits |= HEAD_CHUNKED;
		if (*(const __u32 *)end == HEAD_END) {
			head->position = at + index + 4;
			return head__ends(head);
		}
		if ((end[2] | 0x20) == 'c')
			socket_head_length(head, (const struct head_letter *)(end + 2));
	}
	return HEAD_GOES_ON;
}

/* Volatile: a number from memory is any to the verifier. One in a register it knows more of with each
 * comparison, so that no state would be like another. */
static __always_inline __u64 head__length(const struct sonde_socket_chunks *head)
{
	return *(const volatile __u16 *)&head->length;
}

/* True where all of a chunked body is in the record, as its end shows. */
static __always_inline bool head__ends_chunked(const __u8 *bytes, __u64 end, const __u32 room)
{
	/* The verifier must see both bounds of what is added, the compiler would make one of them. */
	barrier_var(end);
	if (end > room)
		return false;
	barrier_var(end);
	if (end < HEAD_LEAST)
		return false;
	return *(const __u32 *)(bytes + end - 4) == HEAD_END && bytes[end - 5] == '0';
}

/* Another message begins at `next`; false where it is none, or where there is too little of it. */
static __always_inline bool head__begin(struct sonde_socket_chunks *head, const __u8 *bytes,
					__u64 next, const __u32 room)
{
	head->position = next;
	head->left = 0;
	barrier_var(next);
	if (next + HEAD_LEAST > head__length(head) || next > room - 16)
		return false;
	head->digits = (head->digits & HEAD_WHOLE) | head__kind(bytes + next);
	return head->digits & ~HEAD_WHOLE;
}

/* Where a message begins of which there is too little in the record; 0 without one. */
static __always_inline __u32 head__next(const struct sonde_socket_chunks *head)
{
	return (head->digits & ~HEAD_WHOLE) && !(head->digits & HEAD_WHOLE) &&
			       head->position <= head__length(head)
		       ? head->position
		       : 0;
}

struct head_look {
	struct sonde_socket_chunks *head;
	const __u8 *bytes;
	__u32 body; /* where the first body begins that is to be followed */
};

/* Looks at a word; 1 at the end of all that matters. */
static __always_inline long head__word(struct head_look *look, __u64 at, const __u32 room)
{
	struct sonde_socket_chunks *head = look->head;
	const __u8 *bytes = look->bytes;
	__u64 returns, next;
	int ends;

	barrier_var(at);
	if (at > room - 16)
		return 1;
	barrier_var(at);
	if (at < 8 || at >= head__length(head))
		return 1;
	returns = head__returns(*(const __u64 *)(bytes + at));
	if (!returns)
		return 0;
	ends = head__line(head, (const struct head_word *)(bytes + at - 8), at, returns);
	if (ends == HEAD_GOES_ON)
		return 0;
	next = head->position;
	if (next > head__length(head) || ends == HEAD_OTHER_BODY) {
		head->digits = 0;
		return 1;
	}
	if (ends == HEAD_CHUNKED_BODY) {
		if (!(head->digits & HEAD_WHOLE) ||
		    !head__ends_chunked(bytes, head__length(head), room))
			look->body = next;
		return 1;
	}
	if (ends == HEAD_BODY && head->left > head__length(head) - next) {
		look->body = next;
		return 1;
	}
	return !head__begin(head, bytes, next + head->left, room);
}

/* Whether an n and a k behind it, in any case, are among the first `length` bytes, rounded up: words
 * like "chunked" are rare. */
static __always_inline bool head__may_be_chunked(const __u8 *bytes, __u64 length, const __u32 room)
{
	for (__u32 at = 8; at < room; at += 16) {
		__u64 found = 0;

		for (__u32 i = at; i < at + 16 && i < room; i += 8) {
			__u64 word = (*(const __u64 *)(bytes + i - 1) | 0x2020202020202020) ^
				     0x6e6e6e6e6e6e6e6e;

			word |= (*(const __u64 *)(bytes + i) | 0x2020202020202020) ^
				0x6b6b6b6b6b6b6b6b;
			found |= (word - 0x0101010101010101) & ~word;
		}
		if (found & 0x8080808080808080)
			return true;
		if (at + 16 >= length)
			return false;
	}
	return false;
}

/* Where in the record the first body begins that is to be followed; 0 without. A body which ends in a
 * record that has the whole call needs no following. `room`, a constant and a multiple of 8, can be
 * read. Global: verified once each; by a callback, because a loop's states are too many. */
#define HEAD_LOOK(room)                                                                            \
	struct head_##room {                                                                       \
		__u8 bytes[room];                                                                  \
	};                                                                                         \
	static long head__step_##room(__u32 index, struct head_look *look)                         \
	{                                                                                          \
		__u64 at = 8 + (__u64)index * 16;                                                  \
                                                                                                   \
		return head__word(look, at, room) || head__word(look, at + 8, room);               \
	}                                                                                          \
	__noinline __u32 socket_head_##room(struct sonde_socket_chunks *head,                      \
					    const struct head_##room *record)                      \
	{                                                                                          \
		struct head_look look = {.head = head};                                            \
                                                                                                   \
		if (!head || !record)                                                              \
			return 0;                                                                  \
		look.bytes = record->bytes;                                                        \
		if (!head__begin(head, record->bytes, 0, room) ||                                  \
		    ((head->digits & HEAD_WHOLE) &&                                                \
		     (head->digits & (HEAD_GETS | HEAD_BODILESS))))                                \
			return 0;                                                                  \
		/* Of an answer that is all here no other body is followed. */                     \
		if ((head->digits & HEAD_WHOLE) && (head->digits & HEAD_RESPONSE) &&               \
		    !head__may_be_chunked(record->bytes, head__length(head), room))                \
			return 0;                                                                  \
		bpf_loop(room / 16, head__step_##room, &look, 0);                                  \
		return look.body;                                                                  \
	}

HEAD_LOOK(80)
HEAD_LOOK(464)
HEAD_LOOK(2000)
