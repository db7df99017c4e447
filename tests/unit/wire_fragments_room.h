/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of wire/fragments share: datagrams whose bytes are known at every place, and a room
 * that checks the equation of wire/fragments.h. Payloads are handed over in blocks of exactly their
 * length, so that a sanitizer sees any byte read behind them.
 */
#ifndef WIRE_FRAGMENTS_ROOM_H
#define WIRE_FRAGMENTS_ROOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/fragments.h"

#define SECOND UINT64_C(1000000000)
#define MS     UINT64_C(1000000)

/* The kinds of FRAGMENTS_LIST. */
enum { TOTAL, FRAGMENT_OUT, FRAGMENT_REASON, MESSAGE_IN };

enum { UDP = 17, TCP = 6, ROUTING = 43 };

struct room {
	struct fragments *f;
	struct fragments_counts counts;
	uint64_t now;
	struct fragments_datagram whole;
};

/* One fragment as a test writes it down; the bytes are those of pattern() unless given. */
struct piece {
	uint32_t id, offset, len;
	bool more;
};

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline uint32_t below(uint64_t *state, uint32_t bound)
{
	return (uint32_t)(next_random(state) >> 16) % bound;
}

/* What stands at offset of datagram id: neighbours and datagrams differ. */
static inline uint8_t pattern(uint32_t id, uint32_t offset)
{
	uint32_t mixed = (id * 2654435761U) ^ (offset * 40503U);

	return (uint8_t)(mixed >> 11 ^ mixed);
}

static inline void assert_balance(const struct room *r)
{
	uint64_t sum = r->counts.fragments_reassembled + fragments_held(r->f);

#define ADD(name, kind, text)                                                                      \
	if (kind == FRAGMENT_REASON)                                                               \
		sum += r->counts.name;
	FRAGMENTS_LIST(ADD)
	assert_int_equal(r->counts.fragments, sum);
}

static inline struct room *room_new(size_t max_datagrams, size_t memory)
{
	struct room *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->now = 1000 * SECOND;
	r->f = fragments_new(max_datagrams, memory, &r->counts);
	assert_non_null(r->f);
	return r;
}

/* Every test ends here: what is left is drained, and nothing was miscounted. */
static inline void room_free(struct room *r)
{
	uint64_t drained = r->counts.fragments_drained + fragments_held(r->f);

	assert_balance(r);
	fragments_drain(r->f);
	assert_int_equal(fragments_held(r->f), 0);
	assert_int_equal(r->counts.fragments_drained, drained);
	assert_true(fragments_next_expiry(r->f) == UINT64_MAX);
	assert_balance(r);
	fragments_free(r->f);
	free(r);
}

static inline struct room *room_default(void)
{
	return room_new(FRAGMENTS_MAX_DATAGRAMS_DEFAULT, FRAGMENTS_MEMORY_DEFAULT);
}

static inline struct packet fragment4(uint32_t id, uint32_t offset, uint32_t len, bool more)
{
	return (struct packet){
		.kind = PACKET_FRAGMENT,
		.flow = {.src = {192, 0, 2, 1}, .dst = {192, 0, 2, 53}, .family = FAMILY_IPV4},
		.payload_have = len,
		.payload_len = len,
		.fragment_id = id,
		.fragment_offset = (uint16_t)offset,
		.fragment_more = more,
		.fragment_next = UDP,
	};
}

static inline struct packet fragment6(uint32_t id, uint32_t offset, uint32_t len, bool more)
{
	struct packet p = fragment4(id, offset, len, more);

	p.flow = (struct flow){.src = {0x20, 1, 0xd, 0xb8, [15] = 1},
		.dst = {0x20, 1, 0xd, 0xb8, [15] = 0x53},
		.family = FAMILY_IPV6};
	return p;
}

/* Hands the packet over with an exact copy of its payload, which then is gone. */
static inline enum fragments_result give_bytes(struct room *r, struct packet p, const uint8_t *bytes)
{
	uint8_t *copy = malloc(p.payload_have ? p.payload_have : 1);
	enum fragments_result result;

	assert_non_null(copy);
	if (p.payload_have)
		memcpy(copy, bytes, p.payload_have);
	p.payload = copy;
	result = fragments_add(r->f, &p, r->now, &r->whole);
	free(copy);
	return result;
}

static inline enum fragments_result give(struct room *r, struct packet p)
{
	uint8_t *bytes = malloc(p.payload_have + 1);
	enum fragments_result result;

	assert_non_null(bytes);
	for (uint32_t i = 0; i < p.payload_have; i++)
		bytes[i] = pattern(p.fragment_id, p.fragment_offset + i);
	result = give_bytes(r, p, bytes);
	free(bytes);
	return result;
}

static inline enum fragments_result give_piece(struct room *r, const struct piece *piece)
{
	struct packet p = fragment4(piece->id, piece->offset, piece->len, piece->more);

	if (p.payload_have > 65536)
		p.payload_have = 65536; /* a length no header can say needs no bytes */
	return give(r, p);
}

static inline void assert_whole(const struct room *r, uint32_t id, uint32_t len)
{
	assert_int_equal(r->whole.len, len);
	for (uint32_t i = 0; i < len; i++)
		if (r->whole.bytes[i] != pattern(id, i))
			fail_msg("datagram %u differs at byte %u", id, i);
}

#endif
