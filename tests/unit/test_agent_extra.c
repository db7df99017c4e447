/* SPDX-License-Identifier: BSD-2-Clause */
/* Templates of the extra field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/extra.h"

static char error[EXTRA_ERROR_MAX];
static const char *eth = "eth0"; /* the name of interface 2 of namespace 0 */

static const char *interface_name(const void *arg, uint16_t tap, uint32_t ifindex)
{
	(void)arg;
	if (ifindex == 1)
		return "lo";
	if (ifindex == 2)
		return tap ? "inner" : eth;
	return "";
}

static const char *netns_name(const void *arg, uint16_t tap)
{
	(void)arg;
	return tap ? "web" : "";
}

static const char *container_name(const void *arg, uint16_t tap)
{
	(void)arg;
	return tap ? "0123abcd" : "";
}

static const struct extra_names names = {
	.interface = interface_name, .netns = netns_name, .container = container_name};

static void assert_text(const char *template, struct origin origin, const char *expected)
{
	struct extra *e;
	struct bytes text;

	assert_int_equal(extra_new(template, &e, error), 0);
	extra_set_names(e, &names);
	text = extra_format(e, &origin);
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.at, expected, text.len);
	extra_free(e);
}

static void test_placeholders(void **state)
{
	struct origin lo = {.ifindex = 1}, tagged = {.vlan = 42};
	struct origin inner = {.ifindex = 2, .tap = 3};

	assert_text("site=1", lo, "site=1");
	assert_text("if={interface};vlan={vlan}", lo, "if=lo;vlan=");
	assert_text("{vlan}{vlan}", tagged, "4242");
	assert_text("{interface}", tagged, "");
	assert_text("{{{vlan}}}", tagged, "{42}");
	assert_text("", lo, "");
	assert_text("{netns}/{interface}/{container}", inner, "web/inner/0123abcd");
	assert_text("{netns}/{interface}/{container}", lo, "/lo/");
	(void)state;
}

static void assert_format(struct extra *e, struct origin origin, const char *expected)
{
	struct bytes text = extra_format(e, &origin);

	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.at, expected, text.len);
}

/* The same index in two namespaces, and one that gets another name. */
static void test_names(void **state)
{
	struct origin own = {.ifindex = 2}, other = {.ifindex = 2, .tap = 1};
	struct extra *e;

	assert_int_equal(extra_new("{interface}", &e, error), 0);
	assert_format(e, own, "");
	extra_set_names(e, &names);
	assert_format(e, own, "eth0");
	assert_format(e, other, "inner");
	assert_format(e, own, "eth0");
	eth = "wan0";
	extra_forget(e);
	assert_format(e, own, "wan0");
	eth = "eth0";
	extra_free(e);
	extra_forget(NULL);
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
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
