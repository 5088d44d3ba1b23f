/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bodies of HTTP/1.x (RFC 9112, 6 and 7.1), followed where the bytes lie: of chunked ones only the
 * lines of sizes and trailers are captured, of those with a length nothing, however large calls and
 * chunks are, and whether or not the agent keeps up. What does not read as a chunk ends the
 * following: the agent decodes, this chooses what it gets to see. */
#pragma once

#define CHUNKS_MOST_DIGITS 7

static __always_inline bool chunks__follow(const struct socket_order *call)
{
	return call->chunks.framing != SONDE_CHUNKS_NONE;
}

static __always_inline bool chunks__in_data(const struct sonde_socket_chunks *chunks)
{
	return chunks->framing == SONDE_CHUNKS_DATA || chunks->framing == SONDE_CHUNKS_BODY;
}

/* `bytes` of data have passed. */
static __always_inline void chunks__pass(struct sonde_socket_chunks *chunks, __u32 bytes)
{
	chunks->left -= bytes;
	if (!chunks->left)
		chunks->framing = chunks->framing == SONDE_CHUNKS_DATA ? SONDE_CHUNKS_SIZE
									: SONDE_CHUNKS_NONE;
}

/* A head of so many bytes begins the call; returns how much of it is body that nobody needs to see. */
static __always_inline __u32 chunks__found(struct socket_order *call, __u32 head)
{
	struct sonde_socket_chunks *chunks = &call->chunks;
	__u32 behind = call->left - head;

	if (chunks->digits & HEAD_CHUNKED) {
		chunks->framing = SONDE_CHUNKS_SIZE;
		chunks->left = chunks->digits = 0;
		return 0;
	}
	chunks->framing = SONDE_CHUNKS_BODY;
	return chunks->left < behind ? chunks->left : behind;
}

/* A byte of the line of a size; true where the line ends, or is none. */
static __always_inline bool chunks__byte(struct sonde_socket_chunks *chunks, __u8 byte)
{
	__u8 digit = byte - '0';

	if (byte == '\n') {
		if (chunks->framing == SONDE_CHUNKS_TRAILERS) {
			/* An empty line is the end. */
			if (!chunks->digits)
				chunks->framing = SONDE_CHUNKS_NONE;
			chunks->digits = 0;
			return true;
		}
		if (!chunks->digits)
			return false;
		chunks->digits = 0;
		chunks->framing = chunks->left ? SONDE_CHUNKS_DATA : SONDE_CHUNKS_TRAILERS;
		return true;
	}
	if (byte == '\r' || chunks->framing == SONDE_CHUNKS_EXTENSION)
		return false;
	if (chunks->framing == SONDE_CHUNKS_TRAILERS) {
		chunks->digits = 1;
		return false;
	}
	if (digit > 9)
		digit = (byte | 0x20) - 'a' < 6u ? (byte | 0x20) - 'a' + 10 : 0xff;
	if (digit < 16 && chunks->digits < CHUNKS_MOST_DIGITS) {
		chunks->left = chunks->left << 4 | digit;
		chunks->digits++;
		return false;
	}
	chunks->framing = chunks->digits && (byte == ';' || byte == ' ' || byte == '\t')
				  ? SONDE_CHUNKS_EXTENSION
				  : SONDE_CHUNKS_NONE;
	return !chunks->framing;
}

__noinline int socket_line(struct sonde_socket_chunks *chunks, struct socket_piece *piece)
{
	if (!chunks || !piece)
		return 0;
	for (__u32 i = 0; i < SOCKET_PIECE; i++) {
		if (i >= piece->length)
			break;
		piece->used = i + 1;
		if (chunks__byte(chunks, piece->bytes[i]))
			break;
	}
	return 0;
}

/* A record of the line that was read, which covers the data behind it too. */
static __always_inline void chunks__emit(struct socket_call *call)
{
	struct sonde_socket_bytes *to =
		socket__reserve(SONDE_KIND_SOCKET_BYTES, sizeof(*to) + SOCKET_PIECE);
	__u32 covered = call->piece.used;

	if (!to)
		return;
	if (call->chunks.framing == SONDE_CHUNKS_DATA)
		covered += call->chunks.left < call->left - covered ? call->chunks.left
								    : call->left - covered;
	call__describe(&call->order, to, covered, call->piece.used);
	__builtin_memcpy(to + 1, call->piece.bytes, SOCKET_PIECE);
	socket__submit(to);
}

/* Reads the next piece of the current run. */
static __always_inline bool chunks__read(struct socket_call *call)
{
	__u64 length = call->run < call->left ? call->run : call->left;

	if (length > SOCKET_PIECE)
		length = SOCKET_PIECE;
	barrier_var(length);
	call->piece.length = length;
	return length <= SOCKET_PIECE &&
	       !bpf_probe_read_user(call->piece.bytes, length, (void *)call->base);
}

/* Of a message that begins within a call, at least what can be looked through. */
static __always_inline __u32 chunks__most(const struct socket_call *call)
{
	return call->most > HEAD_MOST ? call->most : HEAD_MOST;
}

/* The next message begins here. */
static __always_inline void chunks__next(struct socket_call *call)
{
	call->head = chunks__most(call);
	call->begins = 1;
}

/* What ended the following was the end of the body, the line end behind its trailers. */
static __always_inline bool chunks__at_end(const struct socket_call *call)
{
	__u32 last = call->piece.used - 1;

	return last < SOCKET_PIECE && call->piece.bytes[last] == '\n';
}

/* One step within a followed body: data passed by, or the line of a size; 1 at the end. */
__noinline int socket_follow(struct socket_call *call)
{
	struct sonde_socket_chunks *chunks;
	__u64 length;

	if (!call)
		return 1;
	chunks = &call->chunks;
	length = call->run < call->left ? call->run : call->left;
	if (chunks__in_data(chunks)) {
		length = length < chunks->left ? length : chunks->left;
		chunks__pass(chunks, length);
		call__advance(call, length);
		if (!chunks->framing)
			chunks__next(call);
		return 0;
	}
	if (!chunks__read(call)) {
		chunks->framing = SONDE_CHUNKS_NONE;
		call->flags |= SONDE_SOCKET_UNREADABLE;
		call__cover(&call->order, call->left);
		return 1;
	}
	socket_line(&call->order.chunks, &call->piece);
	if (!chunks->framing && !chunks__at_end(call)) {
		call->head = call->most;
		call->begins = 1; /* the last answer may have been a HEAD's */
		return 0;
	}
	chunks__emit(call);
	call__advance(call, call->piece.used);
	if (!chunks->framing)
		chunks__next(call);
	return 0;
}

/* The call is at its end, or had more chunks than a program may look at. */
static __always_inline void chunks__leave(struct socket_call *call)
{
	if (!call->left || !chunks__follow(&call->order))
		return;
	call__cover(&call->order, call->left);
	call->chunks.framing = SONDE_CHUNKS_NONE;
}

/* Of a body that the agent follows: `ahead` is the way to the end of a chunk's data. */
static __always_inline void chunks__join(struct socket_order *call, __u32 ahead)
{
	call->chunks.framing = ahead ? SONDE_CHUNKS_DATA : SONDE_CHUNKS_SIZE;
	call->chunks.left = ahead;
}

/* Takes up what was kept at the end of the call before this one. */
static __always_inline void chunks__resume(struct socket_order *call,
					   const struct sonde_socket_chunks *kept)
{
	if (kept->framing && kept->position == call->position)
		call->chunks = *kept;
}

/* What is followed is not captured by limits. */
static __always_inline void chunks__begin(struct socket_call *call)
{
	call->head = call->pass = 0;
	if (chunks__in_data(&call->chunks))
		call__cover(&call->order, call->chunks.left < call->left ? call->chunks.left : call->left);
}

static __always_inline void chunks__keep(const struct socket_order *call,
					 struct sonde_socket_chunks *kept, __u32 end)
{
	if (!call->chunks.framing && !kept->framing)
		return;
	*kept = call->chunks;
	kept->position = end;
}
