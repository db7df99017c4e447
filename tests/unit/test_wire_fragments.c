/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever way datagrams are cut, mixed and repeated, they come out whole; whatever an attacker
 * sends, the bounds and the equation hold. Payloads are handed over in blocks of exactly their
 * length, so that a sanitizer sees any byte read behind them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint32_t below(uint64_t *state, uint32_t bound)
{
	return (uint32_t)(next_random(state) >> 16) % bound;
}

/* What stands at offset of datagram id: neighbours and datagrams differ. */
static uint8_t pattern(uint32_t id, uint32_t offset)
{
	uint32_t mixed = (id * 2654435761U) ^ (offset * 40503U);

	return (uint8_t)(mixed >> 11 ^ mixed);
}

static void assert_balance(const struct room *r)
{
	uint64_t sum = r->counts.fragments_reassembled + fragments_held(r->f);

#define ADD(name, kind, text)                                                                      \
	if (kind == FRAGMENT_REASON)                                                               \
		sum += r->counts.name;
	FRAGMENTS_LIST(ADD)
	assert_int_equal(r->counts.fragments, sum);
}

static struct room *room_new(size_t max_datagrams, size_t memory)
{
	struct room *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->now = 1000 * SECOND;
	r->f = fragments_new(max_datagrams, memory, &r->counts);
	assert_non_null(r->f);
	return r;
}

/* Every test ends here: what is left is drained, and nothing was miscounted. */
static void room_free(struct room *r)
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

static struct room *room_default(void)
{
	return room_new(FRAGMENTS_MAX_DATAGRAMS_DEFAULT, FRAGMENTS_MEMORY_DEFAULT);
}

static struct packet fragment4(uint32_t id, uint32_t offset, uint32_t len, bool more)
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

static struct packet fragment6(uint32_t id, uint32_t offset, uint32_t len, bool more)
{
	struct packet p = fragment4(id, offset, len, more);

	p.flow = (struct flow){.src = {0x20, 1, 0xd, 0xb8, [15] = 1},
		.dst = {0x20, 1, 0xd, 0xb8, [15] = 0x53},
		.family = FAMILY_IPV6};
	return p;
}

/* Hands the packet over with an exact copy of its payload, which then is gone. */
static enum fragments_result give_bytes(struct room *r, struct packet p, const uint8_t *bytes)
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

static enum fragments_result give(struct room *r, struct packet p)
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

static enum fragments_result give_piece(struct room *r, const struct piece *piece)
{
	struct packet p = fragment4(piece->id, piece->offset, piece->len, piece->more);

	if (p.payload_have > 65536)
		p.payload_have = 65536; /* a length no header can say needs no bytes */
	return give(r, p);
}

static void assert_whole(const struct room *r, uint32_t id, uint32_t len)
{
	assert_int_equal(r->whole.len, len);
	for (uint32_t i = 0; i < len; i++)
		if (r->whole.bytes[i] != pattern(id, i))
			fail_msg("datagram %u differs at byte %u", id, i);
}

static void test_two_fragments_in_either_order(void **state)
{
	struct room *r = room_default();

	(void)state;
	assert_int_equal(give(r, fragment4(1, 0, 1480, true)), FRAGMENTS_HELD);
	assert_int_equal(give(r, fragment4(1, 1480, 77, false)), FRAGMENTS_COMPLETE);
	assert_whole(r, 1, 1557);
	assert_int_equal(give(r, fragment6(2, 1448, 1, false)), FRAGMENTS_HELD);
	assert_int_equal(give(r, fragment6(2, 0, 1448, true)), FRAGMENTS_COMPLETE);
	assert_whole(r, 2, 1449);
	assert_int_equal(r->counts.reassembled, 2);
	assert_int_equal(r->counts.fragments_reassembled, 4);
	assert_int_equal(fragments_held(r->f), 0);
	room_free(r);
}

/* A datagram's id may be used again at once, and by others at the same time. */
static void test_keys(void **state)
{
	struct room *r = room_default();
	struct packet of[7];

	(void)state;
	for (unsigned i = 0; i < 7; i++)
		of[i] = fragment4(7, 0, 64, true);
	of[1].fragment_next = TCP;
	of[2].flow.src[3] ^= 1;
	of[3].flow.dst[0] ^= 1;
	of[4].fragment_id++;
	of[5].flow.family = FAMILY_IPV6; /* the same bytes for addresses */
	of[6].fragment_next = 0;
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(give(r, of[i]), FRAGMENTS_HELD);
	for (unsigned i = 0; i < 7; i++) {
		of[i].fragment_offset = 64;
		of[i].fragment_more = false;
		assert_int_equal(give(r, of[i]), FRAGMENTS_COMPLETE);
		assert_int_equal(r->whole.next, of[i].fragment_next);
	}
	assert_int_equal(give(r, fragment4(7, 0, 64, true)), FRAGMENTS_HELD);
	assert_int_equal(give(r, fragment4(7, 64, 64, false)), FRAGMENTS_COMPLETE);
	room_free(r);
}

/* In IPv6 the first fragment alone says what the payload begins with. */
static void test_ipv6_next_header_is_the_first_fragments(void **state)
{
	struct room *r = room_default();
	struct packet first = fragment6(1, 0, 64, true), last = fragment6(1, 64, 3, false);

	(void)state;
	first.fragment_next = ROUTING;
	last.fragment_next = 99;
	assert_int_equal(give(r, last), FRAGMENTS_HELD);
	assert_int_equal(give(r, first), FRAGMENTS_COMPLETE);
	assert_int_equal(r->whole.next, ROUTING);
	room_free(r);
}

static void test_largest_datagram(void **state)
{
	struct room *r = room_new(FRAGMENTS_MAX_DATAGRAMS_MIN, FRAGMENTS_MEMORY_MIN);
	enum { FULL = FRAGMENTS_PAYLOAD_MAX, CUT = 65528 };

	(void)state;
	assert_int_equal(give(r, fragment6(1, CUT, FULL - CUT, false)), FRAGMENTS_HELD);
	assert_int_equal(give(r, fragment6(1, 0, CUT, true)), FRAGMENTS_COMPLETE);
	assert_whole(r, 1, FULL);
	/* In 8,192 pieces from the end on, almost all of them before the first. */
	for (uint32_t at = CUT; at; at -= 8)
		assert_int_equal(
			give(r, fragment6(2, at, at == CUT ? FULL - CUT : 8, at != CUT)),
			FRAGMENTS_HELD);
	assert_int_equal(give(r, fragment6(2, 0, 8, true)), FRAGMENTS_COMPLETE);
	assert_whole(r, 2, FULL);
	assert_int_equal(r->counts.fragments_reassembled, 8194);
	room_free(r);
}

/* Properties: any split, any order. */

enum { LIST_LEN = 40, PIECES_MAX = 4096 };

struct script {
	struct packet packets[PIECES_MAX];
	uint32_t count;
	uint32_t lens[LIST_LEN];
	bool seen[LIST_LEN];
};

static void cut_datagram(struct script *s, uint64_t *random, uint32_t id)
{
	uint32_t len = 1 + below(random, below(random, 8) ? 5000 : 65535), at = 0;
	uint32_t most = 8 * (1 + below(random, below(random, 4) ? 250 : 4));

	if (len > most * 60)
		most = (len / 60 + 8) / 8 * 8;
	s->lens[id] = len;
	while (at < len) {
		uint32_t part = 8 * (1 + below(random, most / 8));
		bool more = at + part < len;
		struct packet (*make)(uint32_t, uint32_t, uint32_t, bool) =
			id % 2 ? fragment4 : fragment6;

		if (!more)
			part = len - at;
		assert_in_range(s->count, 0, PIECES_MAX - 1);
		s->packets[s->count++] = make(id, at, part, more);
		at += part;
	}
}

static void shuffle(struct script *s, uint64_t *random)
{
	for (uint32_t i = s->count; i > 1; i--) {
		uint32_t j = below(random, i);
		struct packet kept = s->packets[i - 1];

		s->packets[i - 1] = s->packets[j];
		s->packets[j] = kept;
	}
}

static void take_whole(struct room *r, struct script *s, uint32_t id)
{
	assert_false(s->seen[id]);
	s->seen[id] = true;
	assert_whole(r, id, s->lens[id]);
}

static void test_any_split_and_order(void **state)
{
	struct script *s = malloc(sizeof(*s));
	struct room *r = room_default();
	uint64_t random = 0x9e3779b97f4a7c15;

	(void)state;
	assert_non_null(s);
	for (unsigned round = 1; round <= 60; round++) {
		memset(s, 0, sizeof(*s));
		for (uint32_t id = 0; id < LIST_LEN; id++)
			cut_datagram(s, &random, id);
		shuffle(s, &random);
		for (uint32_t i = 0; i < s->count; i++) {
			if (give(r, s->packets[i]) == FRAGMENTS_COMPLETE)
				take_whole(r, s, s->packets[i].fragment_id);
			assert_balance(r);
		}
		assert_int_equal(r->counts.reassembled, round * LIST_LEN);
		assert_int_equal(fragments_held(r->f), 0);
	}
	assert_int_equal(r->counts.fragments_reassembled, r->counts.fragments);
	room_free(r);
	free(s);
}

/* Copies come while their datagram is still held, as from a second tap; each is counted. */
static void test_copies_change_nothing(void **state)
{
	struct script *s = calloc(1, sizeof(*s));
	struct room *r = room_default();
	uint64_t random = 0xd1342543de82ef95, copies = 0, pieces;

	(void)state;
	assert_non_null(s);
	for (uint32_t id = 0; id < LIST_LEN; id++)
		cut_datagram(s, &random, id);
	shuffle(s, &random);
	pieces = s->count;
	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t earlier = below(&random, i + 1);
		enum fragments_result result = give(r, s->packets[i]);

		if (result == FRAGMENTS_COMPLETE)
			take_whole(r, s, s->packets[i].fragment_id);
		if (s->seen[s->packets[earlier].fragment_id])
			continue;
		assert_int_equal(give(r, s->packets[earlier]), FRAGMENTS_DISCARDED);
		copies++;
	}
	assert_true(copies > 100);
	assert_int_equal(r->counts.reassembled, LIST_LEN);
	assert_int_equal(r->counts.fragments_duplicate, copies);
	assert_int_equal(r->counts.fragments_reassembled, pieces);
	room_free(r);
	free(s);
}

/* What ends a datagram. */

/*
 * Gives pieces one after the other, the last of which must end the datagram, under reason; then
 * what would have made it whole finds it discarded.
 */
static void assert_ends(const struct piece *pieces, unsigned count, size_t reason)
{
	struct room *r = room_default();
	const uint64_t *counter = (const uint64_t *)((const char *)&r->counts + reason);

	for (unsigned i = 0; i + 1 < count; i++)
		assert_int_equal(give_piece(r, &pieces[i]), FRAGMENTS_HELD);
	assert_int_equal(give_piece(r, &pieces[count - 1]), FRAGMENTS_DISCARDED);
	assert_int_equal(*counter, count);
	assert_int_equal(fragments_held(r->f), 0);
	assert_balance(r);
	assert_int_equal(give(r, fragment4(1, 0, 64, true)), FRAGMENTS_DISCARDED);
	assert_int_equal(give(r, fragment4(1, 64, 64, false)), FRAGMENTS_DISCARDED);
	assert_int_equal(r->counts.fragments_of_discarded, 2);
	assert_int_equal(r->counts.reassembled, 0);
	room_free(r);
}

#define ENDS(reason, ...)                                                                          \
	assert_ends((const struct piece[]){__VA_ARGS__},                                           \
		sizeof((const struct piece[]){__VA_ARGS__}) / sizeof(struct piece),                \
		offsetof(struct fragments_counts, reason))

static void test_overlaps(void **state)
{
	(void)state;
	/* Over the start, the end, the middle, all of it, two of them, a page's border. */
	ENDS(fragments_overlap, {1, 64, 64, true}, {1, 56, 16, true});
	ENDS(fragments_overlap, {1, 64, 64, true}, {1, 120, 16, true});
	ENDS(fragments_overlap, {1, 64, 64, true}, {1, 72, 8, true});
	ENDS(fragments_overlap, {1, 64, 64, true}, {1, 0, 1024, true});
	ENDS(fragments_overlap, {1, 64, 64, true}, {1, 64, 32, true});
	ENDS(fragments_overlap, {1, 64, 64, true}, {1, 64, 72, true});
	ENDS(fragments_overlap, {1, 64, 64, true}, {1, 96, 32, true});
	ENDS(fragments_overlap, {1, 64, 64, true}, {1, 128, 64, true}, {1, 64, 128, true});
	ENDS(fragments_overlap, {1, 64, 64, true}, {1, 128, 64, true}, {1, 96, 64, true});
	ENDS(fragments_overlap, {1, 64, 64, true}, {1, 128, 64, true}, {1, 96, 96, true});
	ENDS(fragments_overlap, {1, 0, 4096, true}, {1, 2040, 16, true});
	ENDS(fragments_overlap, {1, 2040, 16, true}, {1, 2048, 2048, true});
	ENDS(fragments_overlap, {1, 1536, 1024, true}, {1, 1536, 512, true});
	/* By the last fragment, on the last fragment, and in its ragged end. */
	ENDS(fragments_overlap, {1, 0, 64, true}, {1, 56, 100, false});
	ENDS(fragments_overlap, {1, 64, 13, false}, {1, 0, 72, true});
	ENDS(fragments_overlap, {1, 64, 13, false}, {1, 72, 5, false});
	/* The same bytes, once with "more" and once as the last. */
	ENDS(fragments_overlap, {1, 64, 64, true}, {1, 64, 64, false});
}

static void test_same_place_other_bytes(void **state)
{
	struct room *r = room_default();
	uint8_t bytes[4096];
	struct packet p = fragment6(1, 1024, sizeof(bytes), true);

	(void)state;
	memset(bytes, 0x5a, sizeof(bytes));
	assert_int_equal(give_bytes(r, p, bytes), FRAGMENTS_HELD);
	assert_int_equal(give_bytes(r, p, bytes), FRAGMENTS_DISCARDED);
	assert_int_equal(r->counts.fragments_duplicate, 1);
	bytes[sizeof(bytes) - 1] ^= 1;
	assert_int_equal(give_bytes(r, p, bytes), FRAGMENTS_DISCARDED);
	assert_int_equal(r->counts.fragments_overlap, 2);
	room_free(r);
}

static void test_wrong_lengths(void **state)
{
	(void)state;
	ENDS(fragments_malformed, {1, 0, 0, true});
	ENDS(fragments_malformed, {1, 64, 0, false});
	ENDS(fragments_malformed, {1, 0, 8, true}, {1, 64, 0, true});
	ENDS(fragments_malformed, {1, 0, 63, true});
	ENDS(fragments_malformed, {1, 0, 64, true}, {1, 64, 12, true});
	ENDS(fragments_malformed, {1, 3, 8, true}); /* no header can say this offset */
	ENDS(fragments_malformed, {1, 65528, 8, true});
	ENDS(fragments_malformed, {1, 65528, 8, false});
	ENDS(fragments_malformed, {1, 0, 65536, true});
	ENDS(fragments_malformed, {1, 64000, UINT32_MAX - 63999, false});
	/* Another end, before or behind; bytes up to or behind the end with "more" set. */
	ENDS(fragments_malformed, {1, 128, 64, false}, {1, 192, 64, false});
	ENDS(fragments_malformed, {1, 128, 64, false}, {1, 64, 64, false});
	ENDS(fragments_malformed, {1, 128, 64, false}, {1, 128, 60, false});
	ENDS(fragments_malformed, {1, 128, 64, false}, {1, 192, 64, true});
	ENDS(fragments_malformed, {1, 128, 64, false}, {1, 128, 64, true});
	ENDS(fragments_malformed, {1, 128, 64, true}, {1, 64, 64, false});
	ENDS(fragments_malformed, {1, 0, 64, true}, {1, 512, 64, true}, {1, 64, 64, false});
}

static void test_longest_that_fits(void **state)
{
	struct room *r = room_default();

	(void)state;
	assert_int_equal(give(r, fragment4(1, 65520, 8, true)), FRAGMENTS_HELD);
	assert_int_equal(give(r, fragment4(1, 65528, 7, false)), FRAGMENTS_HELD);
	assert_int_equal(give(r, fragment4(1, 65528, 7, false)), FRAGMENTS_DISCARDED);
	assert_int_equal(r->counts.fragments_duplicate, 1);
	assert_int_equal(r->counts.fragments_malformed, 0);
	room_free(r);
}

static void test_cut_by_the_capture(void **state)
{
	struct room *r = room_default();
	struct packet cut = fragment4(1, 64, 64, true);

	(void)state;
	cut.payload_have = 63;
	assert_int_equal(give(r, fragment4(1, 0, 64, true)), FRAGMENTS_HELD);
	assert_int_equal(give(r, cut), FRAGMENTS_DISCARDED);
	assert_int_equal(r->counts.fragments_truncated, 2);
	assert_int_equal(give(r, fragment4(1, 64, 64, true)), FRAGMENTS_DISCARDED);
	cut.fragment_id = 2;
	cut.payload_have = 0;
	assert_int_equal(give(r, cut), FRAGMENTS_DISCARDED);
	assert_int_equal(give(r, fragment4(2, 0, 64, true)), FRAGMENTS_DISCARDED);
	assert_int_equal(r->counts.fragments_truncated, 3);
	assert_int_equal(r->counts.fragments_of_discarded, 2);
	room_free(r);
}

/* Time. */

static void expire_after(struct room *r, uint64_t ns)
{
	r->now += ns;
	fragments_expire(r->f, r->now);
	assert_balance(r);
}

static void assert_times_out(uint64_t start)
{
	struct room *r = room_default();

	r->now = start;
	assert_true(fragments_next_expiry(r->f) == UINT64_MAX);
	give(r, fragment4(1, 0, 64, true));
	assert_true(fragments_next_expiry(r->f) == start + 30 * SECOND);
	r->now += SECOND;
	give(r, fragment4(2, 64, 64, false)); /* its first one never comes */
	assert_true(fragments_next_expiry(r->f) == start + 3 * SECOND);
	expire_after(r, 2 * SECOND - 1);
	assert_int_equal(fragments_held(r->f), 2);
	expire_after(r, 1);
	assert_int_equal(r->counts.fragments_unclaimed, 1);
	give(r, fragment4(1, 64, 64, true)); /* makes it no younger */
	expire_after(r, 27 * SECOND - 1);
	assert_int_equal(fragments_held(r->f), 2);
	assert_true(fragments_next_expiry(r->f) == r->now + 1);
	expire_after(r, 1);
	assert_int_equal(r->counts.fragments_timed_out, 2);
	assert_int_equal(fragments_held(r->f), 0);
	room_free(r);
}

static void test_timeouts(void **state)
{
	(void)state;
	assert_times_out(0);
	assert_times_out(5 * SECOND);
	for (unsigned i = 0; i < 40; i++)
		assert_times_out(0 - i * SECOND); /* the clock wraps on the way */
	assert_times_out((UINT64_C(1) << 63) - SECOND);
}

/* Nobody needs to call fragments_expire for a late fragment to be too late. */
static void test_late_fragment_begins_anew(void **state)
{
	struct room *r = room_default();

	(void)state;
	give(r, fragment4(1, 0, 64, true));
	r->now += 30 * SECOND;
	assert_int_equal(give(r, fragment4(1, 64, 64, false)), FRAGMENTS_HELD);
	assert_int_equal(r->counts.fragments_timed_out, 1);
	assert_int_equal(give(r, fragment4(1, 0, 64, true)), FRAGMENTS_COMPLETE);
	room_free(r);
}

/* A claimed datagram has its 30 s from the first fragment on. */
static void test_claim_prolongs(void **state)
{
	struct room *r = room_default();

	(void)state;
	give(r, fragment4(1, 128, 64, false));
	r->now += SECOND;
	give(r, fragment4(1, 0, 64, true));
	r->now += 30 * SECOND - 1;
	assert_int_equal(give(r, fragment4(1, 64, 64, true)), FRAGMENTS_COMPLETE);
	assert_whole(r, 1, 192);
	room_free(r);
}

static void test_time_that_goes_back(void **state)
{
	struct room *r = room_default();

	(void)state;
	give(r, fragment4(1, 0, 64, true));
	r->now -= 5 * MS; /* the disorder of several rings */
	assert_int_equal(give(r, fragment4(1, 64, 64, false)), FRAGMENTS_COMPLETE);
	give(r, fragment4(2, 0, 64, true));
	give(r, fragment4(3, 64, 64, true));
	r->now -= 3600 * SECOND; /* another capture */
	assert_int_equal(give(r, fragment4(2, 64, 64, false)), FRAGMENTS_HELD);
	assert_int_equal(r->counts.fragments_timed_out, 1);
	assert_int_equal(r->counts.fragments_unclaimed, 1);
	expire_after(r, 2 * SECOND);
	assert_int_equal(r->counts.fragments_unclaimed, 2);
	room_free(r);
}

static void test_discarded_is_remembered_30_seconds(void **state)
{
	struct room *r = room_default();

	(void)state;
	give(r, fragment4(1, 0, 64, true));
	give(r, fragment4(1, 8, 64, true));
	assert_int_equal(r->counts.fragments_overlap, 2);
	r->now += 30 * SECOND - 1;
	assert_int_equal(give(r, fragment4(1, 0, 64, true)), FRAGMENTS_DISCARDED);
	assert_int_equal(r->counts.fragments_of_discarded, 1);
	r->now++;
	assert_int_equal(give(r, fragment4(1, 0, 64, true)), FRAGMENTS_HELD);
	assert_int_equal(give(r, fragment4(1, 64, 64, false)), FRAGMENTS_COMPLETE);
	room_free(r);
}

/* Bounds. */

static void test_bounds_of_the_bounds(void **state)
{
	struct fragments_counts counts;

	(void)state;
	assert_null(fragments_new(
		FRAGMENTS_MAX_DATAGRAMS_MIN - 1, FRAGMENTS_MEMORY_DEFAULT, &counts));
	assert_null(fragments_new(
		FRAGMENTS_MAX_DATAGRAMS_MAX + 1, FRAGMENTS_MEMORY_DEFAULT, &counts));
	assert_null(fragments_new(
		FRAGMENTS_MAX_DATAGRAMS_DEFAULT, FRAGMENTS_MEMORY_MIN - 1, &counts));
	assert_null(fragments_new(
		FRAGMENTS_MAX_DATAGRAMS_DEFAULT, (size_t)FRAGMENTS_MEMORY_MAX + 1, &counts));
	fragments_free(NULL);
}

static void test_oldest_of_too_many_goes(void **state)
{
	enum { MAX = 64, CLAIMED = MAX - MAX / 4 };
	struct room *r = room_new(MAX, FRAGMENTS_MEMORY_DEFAULT);

	(void)state;
	for (uint32_t id = 0; id < CLAIMED + 10; id++)
		assert_int_equal(give(r, fragment4(id, 0, 64, true)), FRAGMENTS_HELD);
	assert_int_equal(r->counts.fragments_evicted, 10);
	assert_int_equal(fragments_held(r->f), CLAIMED);
	assert_int_equal(give(r, fragment4(9, 64, 64, false)), FRAGMENTS_HELD);
	assert_int_equal(give(r, fragment4(10, 64, 64, false)), FRAGMENTS_COMPLETE);
	assert_int_equal(give(r, fragment4(CLAIMED + 9, 64, 64, false)), FRAGMENTS_COMPLETE);
	room_free(r);
}

static void test_oldest_of_too_much_goes(void **state)
{
	struct room *r = room_new(FRAGMENTS_MAX_DATAGRAMS_DEFAULT, FRAGMENTS_MEMORY_MIN);
	uint32_t id = 0;

	(void)state;
	while (!r->counts.fragments_evicted)
		assert_int_equal(give(r, fragment4(id++, 0, 65528, true)), FRAGMENTS_HELD);
	assert_int_equal(r->counts.fragments_evicted, 1);
	assert_in_range(fragments_held(r->f), 4, FRAGMENTS_MEMORY_MIN / 65528 - 1);
	/* Now 1 is the oldest: growing does not cost it its own life, but another's. */
	assert_int_equal(give(r, fragment4(1, 65528, 7, false)), FRAGMENTS_COMPLETE);
	assert_whole(r, 1, 65535);
	room_free(r);
}

/* The oldest grows page by page until it is alone. */
static void test_growing_oldest_pushes_out_the_others(void **state)
{
	enum { MAX = 1024 };
	struct room *r = room_new(MAX, FRAGMENTS_MEMORY_MIN);
	uint32_t claimed;

	(void)state;
	for (uint32_t id = 0; !r->counts.fragments_evicted; id++)
		give(r, fragment4(id, 0, 2048, true));
	claimed = (uint32_t)fragments_held(r->f);
	for (uint32_t at = 2048; at < 65536; at += 2048) {
		bool more = at + 2048 < 65536;
		enum fragments_result result =
			give(r, fragment4(1, at, more ? 2048 : 2047, more));

		assert_int_equal(result, more ? FRAGMENTS_HELD : FRAGMENTS_COMPLETE);
	}
	assert_whole(r, 1, 65535);
	assert_int_equal(r->counts.fragments_evicted, 1 + 31);
	assert_int_equal(fragments_held(r->f), claimed - 1 - 31);
	room_free(r);
}

/* Later fragments of unknown datagrams, however many, cost datagrams with a first one nothing. */
static void test_unclaimed_flood_pushes_out_no_claimed(void **state)
{
	enum { VICTIMS = 700, FLOOD = 100000 };
	struct room *r = room_default();

	(void)state;
	for (uint32_t id = 0; id < VICTIMS; id++)
		give(r, fragment4(id, 0, 1480, true));
	for (uint32_t i = 0; i < FLOOD; i++) {
		r->now += SECOND / 100000;
		give(r, fragment6(i, 1448 + i % 5 * 1448, 1448, i % 2));
	}
	for (uint32_t id = 0; id < VICTIMS; id++)
		assert_int_equal(give(r, fragment4(id, 1480, 100, false)), FRAGMENTS_COMPLETE);
	assert_int_equal(r->counts.fragments_evicted, 0);
	assert_int_equal(r->counts.fragments_unclaimed_evicted + fragments_held(r->f), FLOOD);
	assert_true(fragments_held(r->f) <= FRAGMENTS_MAX_DATAGRAMS_DEFAULT / 4);
	room_free(r);
}

/* A datagram sent back to back gets through floods of either kind, in either order. */
static void test_datagrams_get_through_floods(void **state)
{
	enum { FLOOD = 1000000, BETWEEN = 100 };
	struct room *r = room_default();
	size_t memory = fragments_memory(r->f);
	uint64_t whole = 0;

	(void)state;
	for (uint32_t i = 0; i < FLOOD; i++) {
		struct packet noise = fragment6(i, i % 4 ? 0 : 1448, 1448, true);
		uint32_t id = i / BETWEEN;
		bool head = i % BETWEEN == 0, reversed = id % 2;

		r->now += 1000; /* a million a second */
		give(r, noise);
		if (i % BETWEEN && i % BETWEEN != BETWEEN - 1)
			continue;
		if (head != reversed)
			whole += give(r, fragment4(id, 0, 1480, true)) == FRAGMENTS_COMPLETE;
		else
			whole += give(r, fragment4(id, 1480, 99, false)) == FRAGMENTS_COMPLETE;
	}
	assert_int_equal(whole, FLOOD / BETWEEN);
	assert_true(fragments_held(r->f) <= FRAGMENTS_MAX_DATAGRAMS_DEFAULT);
	assert_int_equal(fragments_memory(r->f), memory);
	assert_true(memory < FRAGMENTS_MEMORY_DEFAULT + (1 << 20));
	room_free(r);
}

static void test_discarded_beyond_the_bound_are_forgotten(void **state)
{
	enum { MAX = 64 };
	struct room *r = room_new(MAX, FRAGMENTS_MEMORY_MIN);

	(void)state;
	for (uint32_t id = 0; id <= MAX; id++)
		give(r, fragment4(id, 0, 7, true));
	assert_int_equal(r->counts.fragments_malformed, MAX + 1);
	assert_int_equal(give(r, fragment4(1, 0, 64, true)), FRAGMENTS_DISCARDED);
	assert_int_equal(give(r, fragment4(MAX, 0, 64, true)), FRAGMENTS_DISCARDED);
	assert_int_equal(give(r, fragment4(0, 0, 64, true)), FRAGMENTS_HELD);
	room_free(r);
}

/* Bytes that nobody sent: a hostile script over few keys, to make all states meet. */

static struct packet hostile_fragment(uint64_t *random)
{
	uint32_t id = below(random, 300), unit = 8 * (1 + below(random, 300));
	bool more = below(random, 3);
	uint32_t offset = below(random, 20) ? unit * below(random, 4) : below(random, 8192) * 8;
	uint32_t len = below(random, 50) ? unit : below(random, 3000);
	struct packet p = (id % 2 ? fragment4 : fragment6)(id, offset & 0xffff, len, more);

	if (!below(random, 100))
		p.payload_have = below(random, len + 1);
	if (!below(random, 50))
		p.fragment_next = (uint8_t)next_random(random);
	return p;
}

static void assert_came_from_input(const struct room *r, uint32_t id)
{
	for (uint32_t i = 0; i < r->whole.len; i++)
		if (r->whole.bytes[i] != pattern(id, i))
			fail_msg("a byte nobody sent in datagram %u", id);
}

static void test_hostile_script(void **state)
{
	struct room *r = room_new(64, FRAGMENTS_MEMORY_MIN);
	uint64_t random = 0x2545f4914f6cdd1d;

	(void)state;
	for (unsigned i = 0; i < 1000000; i++) {
		struct packet p = hostile_fragment(&random);

		r->now += below(&random, 20 * MS);
		if (!below(&random, 10000))
			r->now += next_random(&random);
		if (give(r, p) == FRAGMENTS_COMPLETE)
			assert_came_from_input(r, p.fragment_id);
		if (!below(&random, 5000))
			fragments_drain(r->f);
		assert_balance(r);
		assert_true(fragments_held(r->f) <= 64 * 8192);
		assert_true(fragments_held(r->f) || fragments_next_expiry(r->f) == UINT64_MAX);
	}
#define ASSERT_SEEN(name, kind, text) assert_true(r->counts.name > 0);
	FRAGMENTS_LIST(ASSERT_SEEN)
	room_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_fragments_in_either_order),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_ipv6_next_header_is_the_first_fragments),
		cmocka_unit_test(test_largest_datagram),
		cmocka_unit_test(test_any_split_and_order),
		cmocka_unit_test(test_copies_change_nothing),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_same_place_other_bytes),
		cmocka_unit_test(test_wrong_lengths),
		cmocka_unit_test(test_longest_that_fits),
		cmocka_unit_test(test_cut_by_the_capture),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_late_fragment_begins_anew),
		cmocka_unit_test(test_claim_prolongs),
		cmocka_unit_test(test_time_that_goes_back),
		cmocka_unit_test(test_discarded_is_remembered_30_seconds),
		cmocka_unit_test(test_bounds_of_the_bounds),
		cmocka_unit_test(test_oldest_of_too_many_goes),
		cmocka_unit_test(test_oldest_of_too_much_goes),
		cmocka_unit_test(test_growing_oldest_pushes_out_the_others),
		cmocka_unit_test(test_unclaimed_flood_pushes_out_no_claimed),
		cmocka_unit_test(test_datagrams_get_through_floods),
		cmocka_unit_test(test_discarded_beyond_the_bound_are_forgotten),
		cmocka_unit_test(test_hostile_script),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
