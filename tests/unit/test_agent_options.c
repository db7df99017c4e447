/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line: what is understood, and that what is not gets one line that helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/options.h"

enum { WORDS_MAX = 80 };

static char error[OPTIONS_ERROR_MAX];
static struct options options;

/* Parses a command line of words with single spaces between them. */
static int parse(const char *line)
{
	static char copy[8192], name[] = "dnstap-bpf";
	char *argv[WORDS_MAX] = {name};
	int argc = 1;

	error[0] = '\0';
	strncpy(copy, line, sizeof(copy) - 1);
	for (char *word = strtok(copy, " "); word && argc < WORDS_MAX; word = strtok(NULL, " "))
		argv[argc++] = word;
	return options_parse(argc, argv, &options, error);
}

static void assert_refused(const char *line, const char *named)
{
	assert_int_not_equal(parse(line), 0);
	assert_non_null(strstr(error, named));
	assert_null(strchr(error, '\n'));
}

static void test_defaults(void **state)
{
	assert_int_equal(parse("unix:///run/x.sock"), 0);
	assert_int_equal(options.sink_count, 1);
	assert_int_equal(options.sinks[0].kind, SINK_UNIX);
	assert_false(options.sinks[0].full);
	assert_int_equal(options.port_count, 1);
	assert_int_equal(options.ports[0], 53);
	assert_int_equal(options.role, ROLE_AUTO);
	assert_int_equal(options.query_timeout, 30);
	assert_int_equal(options.max_queries, 65536);
	assert_int_equal(options.ring, RINGS_AUTO);
	assert_null(options.read);
	(void)state;
}

static void test_everything(void **state)
{
	assert_int_equal(parse("-i lo --interface eth0 -i lo --port 53 --port 5353 --ring bpf "
			       "--ring-size 1M --role forwarder --query-timeout 5 --max-queries 10 "
			       "--format json --identity me --ledger /x - full tcp://[::1]:6001 "
			       "file:///y full"),
		0);
	assert_int_equal(options.interface_count, 2);
	assert_string_equal(options.interfaces[1], "eth0");
	assert_int_equal(options.port_count, 2);
	assert_int_equal(options.ports[1], 5353);
	assert_int_equal(options.ring, RINGS_BPF);
	assert_int_equal(options.ring_size, 1024 * 1024);
	assert_int_equal(options.role, ROLE_FORWARDER);
	assert_int_equal(options.format, LINES_JSON);
	assert_int_equal(options.sink_count, 3);
	assert_true(options.sinks[0].full);
	assert_false(options.sinks[1].full);
	assert_int_equal(options.sinks[1].port, 6001);
	assert_true(options.sinks[2].full);
	(void)state;
}

static void test_options_behind_sinks(void **state)
{
	assert_int_equal(parse("/run/x.sock full --port 54"), 0);
	assert_true(options.sinks[0].full);
	assert_int_equal(options.ports[0], 54);
	setenv("POSIXLY_CORRECT", "1", 1);
	assert_int_equal(parse("- --role auth -r file full"), 0);
	assert_int_equal(options.sink_count, 1);
	assert_true(options.sinks[0].full);
	assert_string_equal(options.read, "file");
	unsetenv("POSIXLY_CORRECT");
	assert_int_equal(parse("-- ./-odd full"), 0);
	assert_int_equal(options.sink_count, 1);
	(void)state;
}

static void test_numbers(void **state)
{
	static const char *const bad[] = {
		"0", "65536", "70000", "-1", "+53", "53x", "0x35", "", "99999999999999999999999"};
	char line[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "--port=%s -", bad[i]);
		assert_refused(line, "from 1 to 65535");
	}
	assert_refused("--query-timeout 0 -", "--query-timeout 0");
	assert_refused("--query-timeout 3601 -", "3600");
	assert_refused("--max-queries 16777217 -", "16777216");
	assert_refused("--ring-size 3M -", "power of two");
	assert_refused("--ring-size 1K -", "from 262144");
	assert_refused("--ring-size 8T -", "8T");
	assert_refused("--queue-size 20000000000G -", "queue-size");
	(void)state;
}

static void test_refusals(void **state)
{
	assert_refused("", "no sink");
	assert_refused("full", "follows a sink");
	assert_refused("- full full", "twice");
	assert_refused("- -", "twice");
	assert_refused("--no-such-option -", "--no-such-option");
	assert_refused("-z -", "-z");
	assert_refused("-Vzr x", "-z");
	assert_refused("- -i", "-i wants");
	assert_refused("- --port", "wants a value");
	assert_refused("--role king -", "one of auto");
	assert_refused("--ring round -", "one of auto, perf, bpf");
	assert_refused("http://host", "http://host");
	assert_refused("tcp://host:0", "tcp://host:0");
	assert_refused("tcp://host:70000", "tcp://host:70000");
	assert_refused("-r x -i lo -", "do not go with");
	(void)state;
}

static void test_bounds(void **state)
{
	char line[2048] = "";

	for (int i = 0; i <= OPTIONS_SINKS_MAX; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "/s%d ", i);
	assert_refused(line, "at most 8 sinks");
	line[0] = '\0';
	for (int i = 0; i <= OPTIONS_PORTS_MAX; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "--port=%d ", i + 1);
	assert_refused(line, "at most 64 ports");
	(void)state;
}

/* The usage text is to fit on one screen. */
static void test_usage_length(void **state)
{
	char text[8192];
	FILE *to = fmemopen(text, sizeof(text), "w");
	int lines = 0;

	assert_non_null(to);
	options_usage(to);
	fclose(to);
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_in_range(lines, 20, 40);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_options_behind_sinks),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_usage_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
