/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of prefixes against a naive list of the same. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/flow.h"
#include "base/prefixes.h"

static void add(struct prefixes *p, const char *text, unsigned len)
{
	uint8_t family = strchr(text, ':') ? FAMILY_IPV6 : FAMILY_IPV4, address[16] = {0};

	assert_int_equal(inet_pton(family == FAMILY_IPV4 ? AF_INET : AF_INET6, text, address), 1);
	assert_int_equal(prefixes_add(p, family, address, len), 0);
}

static bool contains(const struct prefixes *p, const char *text)
{
	uint8_t family = strchr(text, ':') ? FAMILY_IPV6 : FAMILY_IPV4, address[16] = {0};

	assert_int_equal(inet_pton(family == FAMILY_IPV4 ? AF_INET : AF_INET6, text, address), 1);
	return prefixes_contain(p, family, address);
}

static void test_host_set(void **state)
{
	struct prefixes *p = prefixes_new();

	assert_false(contains(p, "127.0.0.1"));
	add(p, "127.0.0.0", 8);
	add(p, "198.51.100.7", 32);
	add(p, "198.51.100.7", 32);
	add(p, "2001:db8::1", 128);
	add(p, "fe80::1", 64);
	assert_true(contains(p, "127.255.0.1"));
	assert_true(contains(p, "198.51.100.7"));
	assert_false(contains(p, "198.51.100.8"));
	assert_true(contains(p, "2001:db8::1"));
	assert_false(contains(p, "2001:db8::2"));
	assert_true(contains(p, "fe80::dead"));
	/* The same leading bytes in the other family are another address. */
	assert_false(contains(p, "7f00::1"));
	prefixes_clear(p);
	assert_false(contains(p, "127.0.0.1"));
	prefixes_free(p);
	(void)state;
}

static void test_everything_and_bad_lengths(void **state)
{
	struct prefixes *p = prefixes_new();
	uint8_t address[16] = {0};

	assert_int_equal(prefixes_add(p, FAMILY_IPV4, address, 33), -EINVAL);
	assert_int_equal(prefixes_add(p, FAMILY_IPV6, address, 129), -EINVAL);
	add(p, "0.0.0.0", 0);
	assert_true(contains(p, "203.0.113.9"));
	assert_false(contains(p, "2001:db8::1"));
	prefixes_free(p);
	(void)state;
}

static bool naive_match(const uint8_t *prefix, unsigned len, const uint8_t *address)
{
	for (unsigned bit = 0; bit < len; bit++)
		if ((prefix[bit / 8] ^ address[bit / 8]) & (0x80 >> bit % 8))
			return false;
	return true;
}

static void test_against_naive(void **state)
{
	enum { COUNT = 200, QUESTIONS = 20000 };
	uint8_t prefix[COUNT][16] = {{0}};
	unsigned len[COUNT];
	struct prefixes *p = prefixes_new();

	srand(1);
	for (int i = 0; i < COUNT; i++) {
		for (int b = 0; b < 16; b++)
			prefix[i][b] = (uint8_t)(rand() % 4);
		len[i] = (unsigned)rand() % 129;
		if (len[i] < 20)
			len[i] = 128;
		assert_int_equal(prefixes_add(p, FAMILY_IPV6, prefix[i], len[i]), 0);
	}
	for (int q = 0; q < QUESTIONS; q++) {
		uint8_t address[16];
		bool expected = false;

		for (int b = 0; b < 16; b++)
			address[b] = (uint8_t)(rand() % 4);
		for (int i = 0; i < COUNT; i++)
			expected |= naive_match(prefix[i], len[i], address);
		assert_int_equal(prefixes_contain(p, FAMILY_IPV6, address), expected);
	}
	prefixes_free(p);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_set),
		cmocka_unit_test(test_everything_and_bad_lengths),
		cmocka_unit_test(test_against_naive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
