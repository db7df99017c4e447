/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All payload that a harness has given, each piece at its place: a datagram's or fragment's offset,
 * a segment's sequence number. What comes out must be in it, byte for byte at one place: the check
 * that no message is invented, made without any of the rooms that put messages together.
 */
#ifndef FUZZ_HEARD_H
#define FUZZ_HEARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEARD_PIECES_MAX = 4096, HEARD_KEY_MAX = 48 };

struct heard_piece {
	uint8_t key[HEARD_KEY_MAX]; /* pieces with one key are one sequence */
	uint32_t at, len;           /* at wraps */
	uint8_t *bytes;
};

struct heard {
	struct heard_piece pieces[HEARD_PIECES_MAX];
	size_t count;
};

/* False when there is no room for more; key: HEARD_KEY_MAX bytes. */
bool heard_add(
	struct heard *heard, const uint8_t *key, uint32_t at, const uint8_t *bytes, uint32_t len);
/* True when each of the bytes was given at that place. */
bool heard_at(const struct heard *heard, const uint8_t *key, uint32_t at, const uint8_t *bytes,
	uint32_t len);
/* True when they were given at some place. key: its first key_len bytes count. */
bool heard_somewhere(const struct heard *heard, const uint8_t *key, size_t key_len,
	const uint8_t *bytes, uint32_t len);
/* Forgets what has that key. */
void heard_forget(struct heard *heard, const uint8_t *key);
void heard_free(struct heard *heard);

#endif
