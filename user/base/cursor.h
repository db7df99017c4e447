/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A cursor over untrusted bytes. It never reads past the end: the first read that does not fit
 * sets `failed`, returns zero, and every later read returns zero too, so a parser reads a whole
 * header and asks once. It owns nothing; the bytes must outlive it.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

/* bytes may be NULL where len is 0, and nothing is added to NULL then. */
static inline struct cursor cursor_over(const uint8_t *bytes, size_t len)
{
	return (struct cursor){.at = bytes, .end = len ? bytes + len : bytes};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

/* The next len bytes, or NULL (and failed) where fewer are left. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t len)
{
	const uint8_t *taken = c->at;

	if (c->failed || cursor_left(c) < len) {
		c->failed = true;
		return NULL;
	}
	c->at += len;
	return taken;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	const uint8_t *b = cursor_take(c, 1);

	return b ? b[0] : 0;
}

static inline uint16_t cursor_be16(struct cursor *c)
{
	const uint8_t *b = cursor_take(c, 2);

	return b ? (uint16_t)(b[0] << 8 | b[1]) : 0;
}

static inline uint32_t cursor_be32(struct cursor *c)
{
	const uint8_t *b = cursor_take(c, 4);

	return b ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] : 0;
}

#endif
