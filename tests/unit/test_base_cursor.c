/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cursor.h"

static void test_reads_in_network_order(void **state)
{
	static const uint8_t bytes[] = {1, 0xfe, 3, 0xff, 5, 6, 7, 8};
	struct cursor c = cursor_over(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(cursor_u8(&c), 1);
	assert_int_equal(cursor_be16(&c), 0xfe03);
	assert_int_equal(cursor_be32(&c), 0xff050607);
	assert_int_equal(cursor_left(&c), 1);
	assert_ptr_equal(cursor_take(&c, 1), bytes + 7);
	assert_int_equal(cursor_left(&c), 0);
	assert_false(c.failed);
}

/* Whatever the length, reads are right as far as they fit and zero from the first that does not. */
static void test_every_length(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 8; len++) {
		uint8_t *bytes = malloc(len ? len : 1);
		struct cursor c;

		assert_non_null(bytes);
		memset(bytes, 0x11, len);
		c = cursor_over(bytes, len);
		assert_int_equal(cursor_be32(&c), len >= 4 ? 0x11111111 : 0);
		assert_int_equal(c.failed, len < 4);
		assert_int_equal(cursor_be16(&c), len >= 6 ? 0x1111 : 0);
		assert_int_equal(c.failed, len < 6);
		assert_int_equal(cursor_u8(&c), len >= 7 ? 0x11 : 0);
		assert_int_equal(c.failed, len < 7);
		free(bytes);
	}
}

static void test_failure_stays(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3};
	struct cursor c = cursor_over(bytes, sizeof(bytes));
	volatile size_t too_many = 4; /* gcc 16 would warn of a step that is never made */

	(void)state;
	assert_null(cursor_take(&c, too_many));
	assert_true(c.failed);
	assert_null(cursor_take(&c, 1));
	assert_null(cursor_take(&c, 0));
	assert_int_equal(cursor_u8(&c), 0);
	assert_int_equal(cursor_left(&c), 3);
}

static void test_huge_lengths_do_not_wrap(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3};
	struct cursor c = cursor_over(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(cursor_u8(&c), 1);
	assert_null(cursor_take(&c, SIZE_MAX));
	assert_true(c.failed);
}

static void test_nothing(void **state)
{
	struct cursor c = cursor_over(NULL, 0);

	(void)state;
	assert_int_equal(cursor_left(&c), 0);
	assert_null(cursor_take(&c, 1));
	assert_true(c.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_in_network_order),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_failure_stays),
		cmocka_unit_test(test_huge_lengths_do_not_wrap),
		cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
