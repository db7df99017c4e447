/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether bytes look like the beginning of a length-prefixed DNS message, for finding the way
 * back into a stream. Much stricter than dns_parse: a known opcode, TC and the reserved bit clear,
 * at most one question, at least one question or record, and all of them walked through: names,
 * types, classes and lengths, ending exactly where the message's length says. A message that is a
 * header alone is refused: there is too little in it to tell. Pure; reads nothing behind `have`.
 */
#ifndef WIRE_STREAM_START_H
#define WIRE_STREAM_START_H

#include <stdint.h>

enum stream_start {
	STREAM_START_NO,
	STREAM_START_MAYBE, /* nothing speaks against it, but the message is not whole yet */
	STREAM_START_YES,   /* whole, and nothing speaks against what stands behind it */
};

enum stream_start stream_start(const uint8_t *bytes, uint32_t have);

/*
 * The first message alone. ret_len: its length with the prefix, unless the answer is NO or its
 * header is not there. work grows by the bytes of names and the records walked through.
 */
enum stream_start stream_start_one(
	const uint8_t *bytes, uint32_t have, uint32_t *ret_len, uint32_t *work);

#endif
