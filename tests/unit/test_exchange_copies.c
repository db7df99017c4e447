/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of queries: found whole while they stand, and never half overwritten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exchange/copies.h"

enum { ROUNDS = 20000, KEPT = 4096 };

static void fill(uint8_t *bytes, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(seed * 31 + i);
}

static void test_round_and_round(void **state)
{
	struct copies *c = copies_new(COPIES_MEMORY_MIN);
	static struct copy copies[ROUNDS];
	static uint8_t bytes[65535], expected[65535];
	uint32_t found = 0, lost = 0;

	srand(2);
	assert_non_null(c);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t len =
			rand() % 100 ? (uint32_t)rand() % 300 + 1 : (uint32_t)rand() % 65535 + 1;
		uint32_t back = i - (i ? (uint32_t)rand() % (i < KEPT ? i : KEPT) : 0);
		const uint8_t *at;

		fill(bytes, len, i);
		copies[i] = copies_store(c, bytes, len);
		at = copies_fetch(c, copies[back]);
		if (!at) {
			lost++;
			continue;
		}
		found++;
		fill(expected, copies[back].len, back);
		assert_memory_equal(at, expected, copies[back].len);
	}
	assert_true(found > 100);
	assert_true(lost > 100);
	/* The newest always stands. */
	assert_non_null(copies_fetch(c, copies[ROUNDS - 1]));
	copies_free(c);
	(void)state;
}

static void test_none(void **state)
{
	struct copies *c = copies_new(0);

	assert_null(copies_fetch(c, (struct copy){0}));
	copies_free(c);
	copies_free(NULL);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_and_round),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
