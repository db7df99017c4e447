/* SPDX-License-Identifier: BSD-2-Clause */
/* Timeouts and bounds of the reassembly, which hold whatever an attacker sends. */
#include "wire_fragments_room.h"

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
