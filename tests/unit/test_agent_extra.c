/* SPDX-License-Identifier: BSD-2-Clause */
/* Templates of the extra field. */
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/extra.h"

static char error[EXTRA_ERROR_MAX];

static void assert_text(const char *template, struct origin origin, const char *expected)
{
	struct extra *e;
	struct bytes text;

	assert_int_equal(extra_new(template, &e, error), 0);
	text = extra_format(e, &origin);
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.at, expected, text.len);
	extra_free(e);
}

static void test_placeholders(void **state)
{
	struct origin lo = {.ifindex = if_nametoindex("lo")}, tagged = {.vlan = 42};

	assert_text("site=1", lo, "site=1");
	assert_text("if={interface};vlan={vlan}", lo, "if=lo;vlan=");
	assert_text("{vlan}{vlan}", tagged, "4242");
	assert_text("{interface}", tagged, "");
	assert_text("{{{vlan}}}", tagged, "{42}");
	assert_text("", lo, "");
	(void)state;
}

static void test_refusals(void **state)
{
	static const char *const bad[] = {"{", "}", "{vlan", "{name}", "x{interface}}", "\xff"};
	static char longest[MESSAGE_TEXT_MAX + 2];
	struct extra *e;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_not_equal(extra_new(bad[i], &e, error), 0);
		assert_non_null(strstr(error, "--extra"));
	}
	memset(longest, 'x', sizeof(longest) - 1);
	assert_int_not_equal(extra_new(longest, &e, error), 0);
	(void)state;
}

/* What names grow beyond the bound is cut, not refused at run time. */
static void test_bound(void **state)
{
	char template[MESSAGE_TEXT_MAX + 1];
	struct origin origin = {.vlan = 4094};
	struct extra *e;

	memset(template, 'x', sizeof(template) - 1);
	template[sizeof(template) - 1] = '\0';
	memcpy(template, "{vlan}", 6);
	memcpy(template + 1018, "{vlan}", 6);
	assert_int_equal(extra_new(template, &e, error), 0);
	assert_true(extra_format(e, &origin).len <= MESSAGE_TEXT_MAX);
	extra_free(e);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_placeholders),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
