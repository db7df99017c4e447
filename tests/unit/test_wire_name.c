/* SPDX-License-Identifier: BSD-2-Clause */
/* Names from text, and which name lies below which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/name.h"

/* From text into memory of exactly its size, so that a read behind it is seen. */
static uint8_t *name_of(const char *text, uint32_t *len)
{
	uint8_t name[DNS_NAME_MAX], *copy;

	*len = name_from_text(text, name);
	assert_true(*len);
	copy = malloc(*len);
	memcpy(copy, name, *len);
	return copy;
}

static bool below(const char *name_text, const char *suffix_text)
{
	uint32_t name_len, suffix_len;
	uint8_t *name = name_of(name_text, &name_len), *suffix = name_of(suffix_text, &suffix_len);
	bool is = name_is_below(name, name_len, suffix, suffix_len);

	free(name);
	free(suffix);
	return is;
}

static void check_wire(const char *text, const char *wire, uint32_t len)
{
	uint8_t name[DNS_NAME_MAX];

	assert_int_equal(name_from_text(text, name), len);
	assert_memory_equal(name, wire, len);
}

static void test_from_text(void **state)
{
	check_wire(".", "", 1);
	check_wire("com", "\3com", 5);
	check_wire("com.", "\3com", 5);
	check_wire("Example.COM.", "\7Example\3COM", 13);
	check_wire("a\\.b.c", "\3a.b\1c", 7);
	check_wire("a\\046b\\255", "\4a.b\377", 6);
	check_wire("\\000", "\1\0", 3);
	check_wire("_dmarc.*.a", "\6_dmarc\1*\1a", 12);
	(void)state;
}

static void test_no_names(void **state)
{
	static const char *const bad[] = {"", "..", ".com", "a..b", "a b", "a\tb", "a\\25",
		"a\\256", "a\\", "\xc3\xa4.de", "a\x7f"};
	uint8_t name[DNS_NAME_MAX];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(name_from_text(bad[i], name), 0);
	(void)state;
}

/* 63 bytes a label, 255 a name: the longest pass, one byte more does not. */
static void test_bounds(void **state)
{
	uint8_t name[DNS_NAME_MAX];
	char text[512];

	memset(text, 'a', 64);
	text[63] = '\0';
	assert_int_equal(name_from_text(text, name), 65);
	text[63] = 'a';
	text[64] = '\0';
	assert_int_equal(name_from_text(text, name), 0);

	memset(text, 'a', 253);
	for (int at = 63; at < 253; at += 64)
		text[at] = '.';
	text[253] = '\0';
	assert_int_equal(name_from_text(text, name), 255);
	text[253] = 'a';
	text[254] = '\0';
	assert_int_equal(name_from_text(text, name), 0);

	for (int at = 0; at < 254; at += 2)
		text[at] = 'a', text[at + 1] = '.';
	text[253] = '\0';
	assert_int_equal(name_from_text(text, name), 255);
	strcat(text, ".a");
	assert_int_equal(name_from_text(text, name), 0);
	(void)state;
}

static void test_below(void **state)
{
	assert_true(below("www.example.com", "example.com"));
	assert_true(below("example.com", "example.com"));
	assert_true(below("WWW.eXample.COM", "Example.com"));
	assert_true(below("www.example.com", "."));
	assert_true(below(".", "."));
	assert_false(below("com", "example.com"));
	assert_false(below("example.org", "example.com"));
	assert_false(below(".", "com"));
	/* Whole labels, not the end of one; a dot inside a label is none between two. */
	assert_false(below("notexample.com", "example.com"));
	assert_false(below("www\\.example.com", "example.com"));
	/* The bytes of a suffix inside a longer label: \7 is a length only where one stands. */
	assert_false(below("x\\007example.com", "example.com"));
	/* Only letters have a case. */
	assert_false(below("a\\@b", "a\\`b"));
	assert_false(below("\\193", "\\225"));
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_text),
		cmocka_unit_test(test_no_names),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
