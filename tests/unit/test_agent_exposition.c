/* SPDX-License-Identifier: BSD-2-Clause */
/* The text that Prometheus reads: escapes, histograms, a buffer that is too small. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/exposition.h"

static char bytes[4096];
static struct exposition e;

static int setup(void **state)
{
	(void)state;
	memset(bytes, 0, sizeof(bytes));
	exposition_begin(&e, bytes, sizeof(bytes) - 1);
	return 0;
}

static void test_families(void **state)
{
	(void)state;
	exposition_family(&e, EXPOSITION_COUNTER, "a_total", "one\\two\nthree \"four\"");
	exposition_number(&e, NULL, UINT64_MAX);
	exposition_family(&e, EXPOSITION_GAUGE, "b", "B.");
	exposition_number(&e, EXPOSITION_LABELS({"x", "1"}, {"y", "2"}), 0);
	exposition_number(&e, EXPOSITION_LABELS({"x", "1"}, {NULL, NULL}), 7);
	assert_true(exposition_whole(&e));
	assert_string_equal(bytes, "# HELP a_total one\\\\two\\nthree \"four\"\n"
				   "# TYPE a_total counter\n"
				   "a_total 18446744073709551615\n"
				   "# HELP b B.\n# TYPE b gauge\n"
				   "b{x=\"1\",y=\"2\"} 0\n"
				   "b{x=\"1\"} 7\n");
}

static void label_is(const char *value, const char *written)
{
	char expected[128];

	setup(NULL);
	exposition_family(&e, EXPOSITION_GAUGE, "a", "A.");
	e.len = 0;
	exposition_number(&e, EXPOSITION_LABELS({"sink", value}), 1);
	bytes[e.len] = '\0';
	snprintf(expected, sizeof(expected), "a{sink=\"%s\"} 1\n", written);
	assert_string_equal(bytes, expected);
}

static void test_label_values(void **state)
{
	(void)state;
	label_is("", "");
	label_is("unix:///run/a b{c}=,d", "unix:///run/a b{c}=,d");
	label_is("a\"b\\c\nd", "a\\\"b\\\\c\\nd");
	label_is("file:///tmp/\xc3\xa4", "file:///tmp/\xc3\xa4");
	label_is("file:///\xff\xc3\xa4", "file:///???");
}

static void test_seconds(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {{0, "0"}, {1, "0.000000001"}, {250000, "0.00025"}, {1000000000, "1"},
		{8192000000, "8.192"}, {1795473771592739621, "1795473771.592739621"},
		{100000000000, "100"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[64];

		setup(NULL);
		exposition_seconds(&e, NULL, cases[i].ns);
		snprintf(line, sizeof(line), " %s\n", cases[i].text);
		assert_string_equal(bytes, line);
	}
}

static void test_histogram(void **state)
{
	static const uint64_t bounds[] = {250000, 500000}, counts[] = {3, 0, 2};
	const struct exposition_histogram h = {bounds, counts, 2, 1500000000};

	(void)state;
	exposition_family(&e, EXPOSITION_HISTOGRAM, "t", "T.");
	exposition_histogram(&e, EXPOSITION_LABELS({"role", "AUTH"}), &h);
	assert_string_equal(bytes, "# HELP t T.\n# TYPE t histogram\n"
				   "t_bucket{role=\"AUTH\",le=\"0.00025\"} 3\n"
				   "t_bucket{role=\"AUTH\",le=\"0.0005\"} 3\n"
				   "t_bucket{role=\"AUTH\",le=\"+Inf\"} 5\n"
				   "t_sum{role=\"AUTH\"} 1.5\n"
				   "t_count{role=\"AUTH\"} 5\n");
}

/* A memory checker sees what is written behind the end. */
static void test_every_size(void **state)
{
	static const uint64_t bounds[] = {1}, counts[] = {1, 1};
	const struct exposition_histogram h = {bounds, counts, 1, 1};
	size_t needed = 0;

	(void)state;
	for (size_t size = 200; size--;) {
		char *small = malloc(size ? size : 1);

		assert_non_null(small);
		exposition_begin(&e, small, size);
		exposition_family(&e, EXPOSITION_HISTOGRAM, "h", "H.");
		exposition_histogram(&e, NULL, &h);
		exposition_number(&e, EXPOSITION_LABELS({"x", "\"\"\"\""}), 1);
		assert_true(e.len <= size);
		if (!needed)
			needed = e.len;
		assert_int_equal(exposition_whole(&e), size >= needed);
		free(small);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_families, setup),
		cmocka_unit_test_setup(test_label_values, setup),
		cmocka_unit_test_setup(test_seconds, setup),
		cmocka_unit_test_setup(test_histogram, setup),
		cmocka_unit_test_setup(test_every_size, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
