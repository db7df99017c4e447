/* SPDX-License-Identifier: BSD-2-Clause */
/* The lines about interfaces that come and go, and how many there are of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/changes.h"
#include "base/clock.h"
#include "base/log.h"

static char text[65536]; /* what was logged */

static void on_line(const char *line)
{
	size_t used = strlen(text);

	snprintf(text + used, sizeof(text) - used, "%s\n", line);
}

static int start(void **state)
{
	(void)state;
	text[0] = '\0';
	log_set_function(on_line);
	return 0;
}

static size_t lines(void)
{
	size_t count = 0;

	for (const char *at = text; *at; at++)
		count += *at == '\n';
	return count;
}

static void test_texts(void **state)
{
	struct changes c = {0};

	changes_tell(&c, NS_PER_SECOND);
	changes_add(&c, "", "eth1", true);
	changes_add(&c, "web", "eth0", true);
	changes_tell(&c, NS_PER_SECOND);
	changes_add(&c, "", "eth1", false);
	changes_tell(&c, NS_PER_SECOND);
	changes_add(&c, "", "eth2", true);
	changes_add(&c, "web", "lo", false);
	changes_tell(&c, NS_PER_SECOND);
	assert_int_equal(lines(), 3);
	assert_non_null(strstr(text, "now watching eth1, eth0 of web\n"));
	assert_non_null(strstr(text, "no longer watching eth1\n"));
	assert_non_null(strstr(text, "now watching eth2; no longer lo of web\n"));
	(void)state;
}

/* A thousand changes a second for a minute: a burst, then a line every CHANGES_EVERY_S. */
static void test_rate(void **state)
{
	struct changes c = {0};
	uint64_t now = NS_PER_SECOND;

	for (int i = 0; i < 60000; i++, now += NS_PER_MS) {
		changes_add(&c, "", "veth0", i % 2);
		changes_tell(&c, now);
	}
	assert_in_range(lines(), CHANGES_LINES, CHANGES_LINES + 60 / CHANGES_EVERY_S);
	assert_non_null(strstr(text, " more"));
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_texts, start),
		cmocka_unit_test_setup(test_rate, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
