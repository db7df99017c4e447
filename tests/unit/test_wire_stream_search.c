/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages are found where they truly begin, or not at all, and the search is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "wire/stream_search.h"

enum { BARE = 2 + 12 + 5 + 11, BULK = 90 * 1024 };

struct room {
	struct stream_search s;
	uint32_t len;
};

static void put16(struct room *r, uint32_t value)
{
	r->s.bytes[r->len++] = (uint8_t)(value >> 8);
	r->s.bytes[r->len++] = (uint8_t)value;
}

/* A response of one question and one record, whose data are still to be put. */
static uint32_t add(struct room *r, uint32_t data, uint32_t flags)
{
	uint32_t at = r->len;

	put16(r, BARE - 2 + data);
	put16(r, at & 0xffff);
	put16(r, flags);
	put16(r, 1);
	put16(r, 1);
	put16(r, 0);
	put16(r, 0);
	r->s.bytes[r->len++] = 0;
	put16(r, 16);
	put16(r, 1);
	r->s.bytes[r->len++] = 0;
	put16(r, 16);
	put16(r, 1);
	put16(r, 0);
	put16(r, 300);
	put16(r, data);
	return at;
}

static void add_data(struct room *r, uint32_t len)
{
	memset(r->s.bytes + r->len, 0xaa, len);
	r->len += len;
}

static void add_messages(struct room *r, uint32_t count, uint32_t data)
{
	while (count--) {
		add(r, data, 0x8180);
		add_data(r, data);
	}
}

static struct room *new_room(void)
{
	struct room *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	return r;
}

static void a_row_is_found_from_its_first_whole_message(void **state)
{
	uint32_t at;

	(void)state;
	for (uint32_t rest = 0; rest < 200; rest++) {
		struct room *r = new_room();

		add_data(r, rest);
		add_messages(r, 3, rest);
		assert_true(stream_search(&r->s, r->len, true, &at));
		assert_int_equal(at, rest);
		/* Not ended, it takes more than a message's bytes to be sure. */
		assert_false(stream_search(&r->s, r->len, false, &at));
		while (r->len < BULK)
			add_messages(r, 1, 40 + rest);
		for (uint32_t cut = 0; cut < 40; cut++) {
			assert_true(stream_search(&r->s, r->len - cut, false, &at));
			assert_int_equal(at, rest);
		}
		free(r);
	}
}

static void too_few_or_of_two_kinds_are_none(void **state)
{
	struct room *r = new_room();
	uint32_t at;

	(void)state;
	add_messages(r, 2, 50);
	assert_false(stream_search(&r->s, r->len, true, &at));
	add(r, 0, 0x0100);
	assert_false(stream_search(&r->s, r->len, true, &at));
	free(r);
}

/* A message that is there from its beginning has others in its data, to the very end. */
static void messages_inside_of_one_are_not_taken(void **state)
{
	struct room *r = new_room();
	uint32_t at;

	(void)state;
	add_data(r, 100);
	add_messages(r, 3, 20);
	add(r, 50 * BARE, 0x8180);
	add_messages(r, 50, 0);
	/* Two rows end there: only what both have may be taken, and that is nothing. */
	assert_false(stream_search(&r->s, r->len, true, &at));
	free(r);

	r = new_room();
	add_data(r, 100);
	add(r, 60000, 0x8180);
	add_messages(r, 60000 / BARE, 0);
	assert_false(stream_search(&r->s, r->len - 1, false, &at));
	while (r->len < STREAM_SEARCH_MAX - 100)
		add_messages(r, 1, 64);
	assert_true(stream_search(&r->s, r->len, false, &at));
	assert_int_equal(at, 100 + BARE + 60000);
	free(r);
}

/* The beginning is lost; the rows inside stop short of the message's end. */
static void messages_inside_of_a_lost_one_are_not_taken(void **state)
{
	(void)state;
	for (uint32_t rest = 1; rest < 40; rest++) {
		struct room *r = new_room();
		uint32_t at, end;

		add_messages(r, 1000, 0);
		assert_false(stream_search(&r->s, r->len, false, &at));
		add_data(r, rest);
		end = r->len;
		while (r->len < BULK)
			add_messages(r, 1, 64);
		assert_true(stream_search(&r->s, r->len, false, &at));
		assert_int_equal(at, end);
		assert_true(stream_search(&r->s, r->len, true, &at));
		assert_int_equal(at, end);
		free(r);
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* At every eleventh byte a message of 5,887 records: to walk them all takes a second. */
static void what_costs_too_much_is_left(void **state)
{
	static const uint8_t period[11] = {0, 0, 41, 0, 0, 0x16, 0, 0, 0xff, 0, 0};
	struct room *r = new_room();
	uint64_t start;
	uint32_t at;

	(void)state;
	for (uint32_t i = 0; i < STREAM_SEARCH_MAX; i++)
		r->s.bytes[i] = period[i % sizeof(period)];
	start = cpu_ns();
	assert_false(stream_search(&r->s, STREAM_SEARCH_MAX, false, &at));
	print_message("%u us\n", (unsigned int)((cpu_ns() - start) / 1000));
	assert_true(cpu_ns() - start < 300 * 1000000U);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_is_found_from_its_first_whole_message),
		cmocka_unit_test(too_few_or_of_two_kinds_are_none),
		cmocka_unit_test(messages_inside_of_one_are_not_taken),
		cmocka_unit_test(messages_inside_of_a_lost_one_are_not_taken),
		cmocka_unit_test(what_costs_too_much_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
