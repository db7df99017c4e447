/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's lists of CPUs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture/cpus.h"

enum { COUNT = 8 };

static char path[] = "/tmp/test_capture_cpus.XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static const char *file_of(const char *list)
{
	assert_int_equal(truncate(path, 0), 0);

	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(list, file) >= 0);
	assert_int_equal(fclose(file), 0);
	return path;
}

static void assert_online(const char *list, const char *expected)
{
	bool online[COUNT] = {true, true};

	assert_int_equal(cpus_read(file_of(list), online, COUNT), 0);
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
		assert_int_equal(cpus_read(file_of(broken[i]), online, COUNT), -EINVAL);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_int_equal(cpus_bound(file_of(broken[i])), -EINVAL);
	(void)state;
}

/* Where ids are left out there are fewer CPUs than the highest id tells. */
static void test_bound(void **state)
{
	assert_int_equal(cpus_bound(file_of("0\n")), 1);
	assert_int_equal(cpus_bound(file_of("0-3\n")), 4);
	assert_int_equal(cpus_bound(file_of("0-1,64-65\n")), 66);
	assert_int_equal(cpus_bound(file_of("0,9,3\n")), 10);
	assert_int_equal(cpus_bound(file_of("0-99999999999999999999")), CPUS_MAX);
	assert_int_equal(cpus_bound(file_of("")), -EINVAL);
	assert_int_equal(cpus_bound("/nonexistent"), -ENOENT);
	(void)state;
}

static void test_here(void **state)
{
	bool online[4096] = {false}, any = false;

	assert_int_equal(cpus_read(CPUS_ONLINE, online, 4096), 0);
	for (size_t i = 0; i < 4096; i++)
		any |= online[i];
	assert_true(any);
	assert_true(cpus_bound(CPUS_POSSIBLE) >= sysconf(_SC_NPROCESSORS_CONF));
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_here),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
