/* SPDX-License-Identifier: BSD-2-Clause */
/* Whatever way datagrams are cut, mixed and repeated, they come out whole, or end with a reason. */
#include "wire_fragments_room.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
