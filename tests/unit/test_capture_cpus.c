/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's lists of CPUs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capture/cpus.h"

enum { COUNT = 8 };

static void assert_online(const char *list, const char *expected)
{
	bool online[COUNT] = {true, true};

	assert_int_equal(cpus_parse(list, online, COUNT), 0);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(online[i], expected[i] == '1');
}

static void test_lists(void **state)
{
	assert_online("0\n", "10000000");
	assert_online("0-3", "11110000");
	assert_online("0-1,4,6-7\n", "11001011");
	assert_online("5-4000", "00000111");
	assert_online("99999999999999999999", "00000000");
	assert_online("", "00000000");
	(void)state;
}

static void test_broken(void **state)
{
	static const char *const broken[] = {"x", "0-", "0-x", "-1", "0 1", " 0"};
	bool online[COUNT];

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_int_equal(cpus_parse(broken[i], online, COUNT), -EINVAL);
	(void)state;
}

static void test_here(void **state)
{
	bool online[4096] = {false}, any = false;

	assert_int_equal(cpus_online(online, 4096), 0);
	for (size_t i = 0; i < 4096; i++)
		any |= online[i];
	assert_true(any);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
