/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where messages begin in bytes that follow each other and may begin inside of one. Every offset
 * that looks like a message (wire/stream_start.h) and from which message after message leads
 * exactly to the end of the bytes, or to one that goes beyond it, is alive. A boundary is certain
 * where the bytes end with a message (`ended`), or else where no message that is alive reaches
 * over it, at least STREAM_SEARCH_REACH behind the beginning: the true messages have begun by
 * then and so are among those alive. From there it goes back as long as exactly one message that
 * is alive ends at the boundary. At the least STREAM_SEARCH_MESSAGES whole messages, all of them
 * queries or all responses, must follow each other.
 *
 * So messages inside another one's data are rivals of the true ones and not taken, but for two
 * cases: true messages that wire/stream_start refuses, and a message whose beginning is not among
 * the bytes while others fill its data to its very end.
 *
 * Cost: each offset is looked at once, nearly all are refused by their first 14 bytes, and the
 * walks through the rest are ended for all when they exceed four steps a byte. Pure; no memory of
 * its own.
 */
#ifndef WIRE_STREAM_SEARCH_H
#define WIRE_STREAM_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

enum {
	STREAM_SEARCH_REACH = 2 + 65535, /* the longest message */
	STREAM_SEARCH_MAX = 2 * STREAM_SEARCH_REACH,
	STREAM_SEARCH_MESSAGES = 3,
};

/* The caller fills bytes; the rest is scratch. */
struct stream_search {
	uint8_t bytes[STREAM_SEARCH_MAX];
	uint8_t alive[STREAM_SEARCH_MAX + 1];
	uint32_t before[STREAM_SEARCH_MAX + 1];
};

/* True with the offset of the first message that is certain. len <= STREAM_SEARCH_MAX. */
bool stream_search(struct stream_search *s, uint32_t len, bool ended, uint32_t *ret_at);

#endif
