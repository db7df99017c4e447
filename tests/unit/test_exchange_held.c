/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "exchange/held.h"

static struct flow response_flow(unsigned client)
{
	struct flow flow;

	memset(&flow, 0, sizeof(flow));
	flow.family = FAMILY_IPV4;
	flow.protocol = IPPROTO_UDP;
	flow.src_port = 53;
	flow.dst_port = 40000;
	memcpy(flow.src, "\xc0\x00\x02\x35", 4);
	memcpy(flow.dst, &client, 4);
	return flow;
}

/* What the n-th response holds, so that it can be told again when it comes out. */
static uint8_t content(unsigned number, uint32_t at)
{
	return (uint8_t)(number * 131 + at * 7 + (at >> 8));
}

static bool add(struct held *held, unsigned number, uint64_t time, uint32_t have)
{
	uint8_t *bytes = malloc(have ? have : 1);
	struct held_response r = {
		.flow = response_flow(number % 50),
		.time = time,
		.wall = time + 1000,
		.have = have,
		.len = have + 5,
		.id = (uint16_t)(number % 3),
		.bytes = bytes,
	};
	bool added;

	assert_non_null(bytes);
	for (uint32_t i = 0; i < have; i++)
		bytes[i] = content(number, i);
	added = held_add(held, &r);
	free(bytes);
	return added;
}

static void assert_response(const struct held_response *r, unsigned number, uint32_t have)
{
	struct flow flow = response_flow(number % 50);

	assert_memory_equal(&r->flow, &flow, sizeof(flow));
	assert_int_equal(r->id, number % 3);
	assert_int_equal(r->have, have);
	assert_int_equal(r->len, have + 5);
	assert_true(r->wall == r->time + 1000);
	for (uint32_t i = 0; i < have; i++)
		if (r->bytes[i] != content(number, i))
			fail_msg("byte %u of response %u differs", i, number);
}

static void test_empty(void **state)
{
	struct held *held = held_new();
	struct held_response r;
	struct flow flow = response_flow(1);

	(void)state;
	assert_int_equal(held_count(held), 0);
	assert_true(held_next_expiry(held) == UINT64_MAX);
	assert_false(held_take_expired(held, UINT64_MAX, &r));
	assert_false(held_take_match(held, &flow, 0, &r));
	assert_false(held_needs_room(held, HELD_MEMORY));
	held_free(held);
	held_free(NULL);
}

static void test_expiry(void **state)
{
	struct held *held = held_new();
	struct held_response r;

	(void)state;
	assert_true(add(held, 1, 5000, 100));
	assert_true(add(held, 2, 6000, 200));
	assert_true(held_next_expiry(held) == 5000 + HELD_SKEW_NS);
	assert_false(held_take_expired(held, 5000 + HELD_SKEW_NS - 1, &r));
	assert_false(held_take_expired(held, 0, &r)); /* a clock behind the response */
	assert_true(held_take_expired(held, 5000 + HELD_SKEW_NS, &r));
	assert_response(&r, 1, 100);
	assert_false(held_take_expired(held, 5000 + HELD_SKEW_NS, &r));
	assert_true(held_take_expired(held, UINT64_MAX, &r));
	assert_response(&r, 2, 200);
	assert_int_equal(held_count(held), 0);
	held_free(held);
}

static void test_match_needs_flow_and_id(void **state)
{
	struct held *held = held_new();
	struct flow response = response_flow(7), query = flow_reversed(&response), other;
	struct held_response r;

	(void)state;
	assert_true(add(held, 7, 0, 100)); /* id 1 */
	assert_false(held_take_match(held, &response, 1, &r));
	assert_false(held_take_match(held, &query, 2, &r));
	for (size_t i = 0; i < sizeof(query); i++) {
		other = query;
		((uint8_t *)&other)[i] ^= 1;
		assert_false(held_take_match(held, &other, 1, &r));
	}
	assert_true(held_take_match(held, &query, 1, &r));
	assert_response(&r, 7, 100);
	assert_false(held_take_match(held, &query, 1, &r));
	held_free(held);
}

static void test_matches_in_order(void **state)
{
	struct held *held = held_new();
	struct flow response = response_flow(7), query = flow_reversed(&response);
	struct held_response r;

	(void)state;
	/* 150 = 50 * 3: the same flow and id */
	for (unsigned i = 0; i < 3; i++)
		assert_true(add(held, 7 + 150 * i, i, 50 + i));
	for (unsigned i = 0; i < 3; i++) {
		assert_true(held_take_match(held, &query, 1, &r));
		assert_response(&r, 7 + 150 * i, 50 + i);
	}
	held_free(held);
}

static void test_limits(void **state)
{
	struct held *held = held_new();
	struct held_response r;
	unsigned number = 0;

	(void)state;
	assert_false(add(held, 0, 0, HELD_MEMORY + 1));
	assert_true(add(held, 0, 0, HELD_MEMORY));
	assert_true(held_needs_room(held, 1));
	assert_false(add(held, 1, 0, 1));
	assert_true(held_take_expired(held, UINT64_MAX, &r));
	assert_response(&r, 0, HELD_MEMORY);
	assert_true(add(held, 0, 0, 100));
	assert_true(add(held, 1, 0, HELD_MEMORY - 100)); /* to the last byte */
	assert_true(held_take_expired(held, UINT64_MAX, &r));
	assert_true(add(held, 2, 0, 100)); /* around the end, to the last byte */
	assert_true(held_needs_room(held, 1));
	while (held_take_expired(held, UINT64_MAX, &r))
		;
	for (; number < 16; number++) {
		assert_false(held_needs_room(held, 65535));
		assert_true(add(held, number, 0, 65535));
	}
	assert_true(held_needs_room(held, 65535));
	while (held_take_expired(held, UINT64_MAX, &r))
		;
	for (number = 0; !held_needs_room(held, 12); number++)
		assert_true(add(held, number, 0, 12));
	assert_int_equal(number, HELD_COUNT_MAX);
	assert_false(add(held, number, 0, 12));
	held_free(held);
}

static void test_what_was_taken_stays_until_the_next_add(void **state)
{
	struct held *held = held_new();
	struct held_response a, b;

	(void)state;
	assert_true(add(held, 1, 0, 500));
	assert_true(add(held, 2, 0, 600));
	assert_true(held_take_expired(held, UINT64_MAX, &a));
	assert_true(held_take_expired(held, UINT64_MAX, &b));
	assert_response(&a, 1, 500);
	assert_response(&b, 2, 600);
	held_free(held);
}

/* The model: a plain list of what is held. */
enum { MODEL_MAX = HELD_COUNT_MAX };
static struct {
	unsigned number;
	uint32_t have;
} model[MODEL_MAX];
static size_t model_count;

static void model_remove(size_t i)
{
	model_count--;
	memmove(model + i, model + i + 1, (model_count - i) * sizeof(model[0]));
}

static void take_oldest(struct held *held)
{
	struct held_response r;

	assert_true(held_take_expired(held, UINT64_MAX, &r));
	assert_response(&r, model[0].number, model[0].have);
	model_remove(0);
}

/* By the key of a random one held: the oldest of that key comes out. */
static void take_some(struct held *held, unsigned choice)
{
	unsigned number = model[choice % model_count].number;
	struct flow response = response_flow(number % 50), query = flow_reversed(&response);
	struct held_response r;
	size_t i = 0;

	while (model[i].number % 150 != number % 150)
		i++;
	assert_true(held_take_match(held, &query, (uint16_t)(number % 3), &r));
	assert_response(&r, model[i].number, model[i].have);
	model_remove(i);
}

static void test_against_model(void **state)
{
	struct held *held = held_new();
	unsigned seed = 1;

	(void)state;
	for (unsigned round = 0; round < 60000; round++) {
		bool large = round / 5000 & 1; /* by turns the bytes and the count fill up */
		int what = rand_r(&seed) % 8;
		uint32_t have = (unsigned)rand_r(&seed) % (large ? 65536 : 200);

		if (what < 5 || !model_count) {
			while (held_needs_room(held, have))
				take_oldest(held);
			assert_true(add(held, round, round, have));
			model[model_count].number = round;
			model[model_count++].have = have;
		} else if (what == 5) {
			take_oldest(held);
		} else {
			take_some(held, (unsigned)rand_r(&seed));
		}
		assert_int_equal(held_count(held), model_count);
	}
	while (model_count)
		take_oldest(held);
	held_free(held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_match_needs_flow_and_id),
		cmocka_unit_test(test_matches_in_order),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_what_was_taken_stays_until_the_next_add),
		cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
