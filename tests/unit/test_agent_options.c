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

enum { WORDS_MAX = 300 };

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
	assert_refused("--ring-size 3M -", "3M: give a power of two");
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
	assert_refused("--ring round -", "one of auto, array, bpf, perf");
	assert_refused("http://host", "http://host");
	assert_refused("tcp://host:0", "tcp://host:0");
	assert_refused("tcp://host:70000", "tcp://host:70000");
	assert_refused("-r x -i lo -", "--interface does not go with -r");
	assert_refused("-r x --metrics 9617 -", "--metrics does not go with -r");
	assert_refused("-r x -r y -", "--read is given twice");
	assert_refused("--interface= -", "--interface ''");
	assert_refused("--interface=a/b -", "no interface's name");
	assert_refused("--spool= /s", "give a folder");
	assert_refused("--port= -", "--port a value is missing: give a number");
	assert_refused("--role= -", "--role a value is missing: give one of");
	assert_refused("--identity=a\nb -", "control characters");
	assert_refused("--version-string=a\tb -", "control characters");
	assert_refused("--extra=a\x7f -", "control characters");
	assert_refused("--netns /run/netns/a -", "without its path");
	assert_refused("-? -", "-?");
	assert_refused("-V?x -", "unknown");
	assert_refused("-?queue=1M -Vz", "-z");
	(void)state;
}

/* What a careless hand writes for a sink. */
static void test_sink_words(void **state)
{
	static const char *const nearly[] = {"ful", "Full", "FULL", "fulll", "fll"};
	char line[64];

	for (size_t i = 0; i < sizeof(nearly) / sizeof(nearly[0]); i++) {
		snprintf(line, sizeof(line), "- %s", nearly[i]);
		assert_refused(line, "did you mean full?");
		assert_non_null(strstr(error, "./"));
	}
	assert_refused("- sock", "./sock");
	assert_refused("/s unix:///s", "named twice: it is /s");
	assert_refused("tcp://h tcp://h:6000?queue=1M full", "named twice");
	assert_refused("tcp://::1:6000", "tcp://[::1]:6000");
	assert_refused("tcp://::1", "tcp://[::1]:6000");
	assert_refused("tls://2001:db8::1:7000", "tls://[2001:db8::1]:7000");
	assert_refused("tcp://2001:db8::1:53", "tcp://[2001:db8::1:53]:6000");
	assert_refused("tcp://2001:db8:1:2:3:4:5:6:6000", "tcp://[2001:db8:1:2:3:4:5:6]:6000");
	assert_int_equal(parse("--extra -?x -?queue=1M full --port 54"), 0);
	assert_int_equal(options.sinks[0].settings.queue_size, 1 << 20);
	assert_int_equal(options.sink_count, 1);
	assert_true(options.sinks[0].full);
	assert_int_equal(options.ports[0], 54);
	assert_string_equal(options.extra, "-?x");
	assert_int_equal(parse("./full tcp://h tls://h tcp://h:1 file:///s /s"), 0);
	(void)state;
}

/* What would be ignored without a word is refused. */
static void test_what_does_not_apply(void **state)
{
	assert_refused("--with-query /s", "no sink has the word full");
	assert_refused("--format json /s", "the sink -");
	assert_refused("--tls-ca /x tcp://h", "--tls-ca does not apply");
	assert_refused("--tls-cert /x tcp://h", "--tls-cert does not apply");
	assert_refused("--tls-no-verify tcp://h", "--tls-no-verify does not apply");
	assert_refused("--spool /x file:///f", "--spool does not apply");
	assert_refused("--spool-size 1G /s", "there is no --spool");
	assert_int_equal(parse("--with-query --format text --tls-no-verify --spool /x "
			       "--spool-size 1G - full tls://h"),
		0);
	assert_int_equal(parse("--spool-size 1G /s?spool=/x"), 0);
	assert_refused("--check-config -", "--config");
	(void)state;
}

static void test_filters(void **state)
{
	assert_int_equal(parse("--client-net 192.0.2.0/24 --client-net ::1 --server-net 10.0.0.1 "
			       "--sample 100 --type AUTH_QUERY --type tool_response --name . "
			       "--name example.com. --rcode nxdomain --rcode BADCOOKIE "
			       "--rcode 4095 --anonymise 24,48 -"),
		0);
	assert_int_equal(options.client_count, 2);
	assert_int_equal(options.clients[0].len, 24);
	assert_int_equal(options.clients[1].family, FAMILY_IPV6);
	assert_int_equal(options.server_count, 1);
	assert_int_equal(options.sample, 100);
	assert_int_equal(options.types, 1U << 1 | 1U << 12);
	assert_int_equal(options.name_count, 2);
	assert_true(options.rcodes.any_given);
	assert_int_equal(options.rcodes.bits[0], 1 << 3);
	assert_int_equal(options.rcodes.bits[2], 1 << 7);
	assert_int_equal(options.rcodes.bits[511], 1 << 7);
	assert_int_equal(options.anonymise_v4, 24);
	assert_int_equal(options.anonymise_v6, 48);
	assert_true(options.anonymise);
	assert_int_equal(parse("-"), 0);
	assert_false(options.anonymise);
	/* to keep nothing is not to keep all */
	assert_int_equal(parse("--anonymise 0,0 -"), 0);
	assert_true(options.anonymise);
	assert_int_equal(parse("--anonymise 24,0 -"), 0);
	assert_int_equal(options.anonymise_v6, 0);
	assert_refused("--sample 0 -", "from 1");
	assert_refused("--type AUTH -", "_QUERY");
	assert_refused("--rcode 4096 -", "4095");
	assert_refused("--rcode NXD -", "NXDOMAIN");
	assert_refused("--anonymise 24 -", "24,48");
	assert_refused("--anonymise 33,48 -", "0 to 32");
	assert_refused("--anonymise 24,129 -", "0 to 128");
	assert_refused("--name a..b -", "domain name");
	assert_refused("--name .a -", "domain name");
	assert_refused("--name a\\ -", "domain name");
	assert_refused("--local 10.0.0.1/8 -", "10.0.0.0/8");
	assert_refused("--client-net fe80::1/10 -", "fe80::/10");
	assert_refused("--server-net 10.0.0.0/33 -", "192.0.2.0/24");
	(void)state;
}

static void test_names_have_their_lengths(void **state)
{
	char line[600], label[65];

	memset(label, 'a', 63);
	label[63] = '\0';
	snprintf(line, sizeof(line), "--name %s.%s.%s.%.61s -", label, label, label, label);
	assert_int_equal(parse(line), 0); /* 255 octets on the wire, RFC 1035 3.1 */
	snprintf(line, sizeof(line), "--name %s.%s.%s.%.62s -", label, label, label, label);
	assert_refused(line, "domain name");
	snprintf(line, sizeof(line), "--name %sa -", label);
	assert_refused(line, "domain name");
	snprintf(line, sizeof(line), "--name %.59s\\.\\065\\\\b -", label);
	assert_int_equal(parse(line), 0);
	(void)state;
}

static void test_agent(void **state)
{
	assert_int_equal(
		parse("--netns all --netns 17 --metrics [::1]:9617 --user me --confine log -"), 0);
	assert_int_equal(options.netns_count, 2);
	assert_string_equal(options.metrics, "[::1]:9617");
	assert_int_equal(options.confine, CONFINE_LOG);
	assert_int_equal(parse("--metrics 9617 -"), 0);
	assert_refused("--metrics 0 -", "give a port");
	assert_refused("--metrics ::1:9617 -", "[::1]:9617");
	assert_refused("--metrics host:9617 -", "give a port");
	assert_refused("--confine maybe -", "on, log, off");
	(void)state;
}

/* Who writes the manual finds each option once, with what the parser knows of it. */
static void test_walk(void **state)
{
	struct options_info info;
	size_t i, ranged = 0;

	for (i = 0; options_walk(i, &info); i++) {
		assert_non_null(info.name);
		assert_true(strlen(info.help) > 3);
		assert_true(info.argument || !info.ranged);
		ranged += info.ranged;
		if (!strcmp(info.name, "queue-size")) {
			assert_string_equal(info.initial, "16M");
			assert_true(info.sized);
			assert_int_equal(info.minimum, SINK_QUEUE_MIN);
		}
		if (!strcmp(info.name, "role")) {
			assert_string_equal(info.initial, "auto");
			assert_string_equal(info.choices[1], "auth");
		}
		if (!strcmp(info.name, "interface"))
			assert_true(info.repeatable && info.in_file && info.letter == 'i');
		if (!strcmp(info.name, "config"))
			assert_false(info.in_file);
	}
	assert_in_range(i, 40, 60);
	assert_in_range(ranged, 8, 20);
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
	assert_refused(line, "at most 64 times");
	for (line[0] = '\0'; strlen(line) < sizeof(line) - 20;)
		strcat(line, "--port=53 ");
	strcat(line, "-");
	assert_int_equal(parse(line), 0);
	assert_int_equal(options.port_count, 1);
	(void)state;
}

/* The usage text is to fit on one screen. */
static void test_usage_length(void **state)
{
	struct options_info info;
	char text[8192], name[64];
	FILE *to = fmemopen(text, sizeof(text), "w");
	int lines = 0;

	assert_non_null(to);
	options_usage(to);
	fclose(to);
	for (const char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
		assert_in_range(end - at, 0, 100);
		lines++;
	}
	assert_in_range(lines, 20, 40);
	for (size_t i = 0; options_walk(i, &info); i++) {
		snprintf(name, sizeof(name), "--%s%s%s", info.name, info.argument ? " " : "",
			info.argument ? info.argument : "");
		assert_non_null(strstr(text, name));
	}
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
		cmocka_unit_test(test_sink_words),
		cmocka_unit_test(test_what_does_not_apply),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_names_have_their_lengths),
		cmocka_unit_test(test_agent),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_usage_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
