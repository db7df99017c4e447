/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration file: the same options, and each fault with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/options.h"

enum { WORDS_MAX = 20, FAULTS_MAX = 40 };

static char path[] = "/tmp/dnstap-bpf-config-XXXXXX";
static struct options options;
static char error[OPTIONS_ERROR_MAX];
static char faults[FAULTS_MAX][OPTIONS_ERROR_MAX];
static size_t fault_count;

static void write_bytes(const void *bytes, size_t len)
{
	FILE *to = fopen(path, "w");

	assert_non_null(to);
	assert_int_equal(fwrite(bytes, 1, len, to), len);
	assert_int_equal(fclose(to), 0);
}

static int parse(const char *yaml, const char *line)
{
	static char copy[1024], name[] = "dnstap-bpf", option[] = "--config";
	char *argv[WORDS_MAX] = {name, option, path};
	int argc = 3;

	options_free(&options);
	error[0] = '\0';
	write_bytes(yaml, strlen(yaml));
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word && argc < WORDS_MAX; word = strtok(NULL, " "))
		argv[argc++] = word;
	return options_parse(argc, argv, &options, error);
}

static void good(const char *yaml, const char *line)
{
	if (parse(yaml, line))
		fail_msg("refused: %s", error);
}

/* at: what stands behind the file's name, as "2: port: ". */
static void refused(const char *yaml, const char *at, const char *says)
{
	char begins[128];

	assert_int_not_equal(parse(yaml, "-"), 0);
	snprintf(begins, sizeof(begins), "%s:%s", path, at);
	if (strncmp(error, begins, strlen(begins)) || !strstr(error, says))
		fail_msg("'%s' does not begin with '%s' or say '%s'", error, begins, says);
	assert_null(strchr(error, '\n'));
}

static void every_kind_of_key(void **state)
{
	good("# a comment\n"
	     "interface: [lo, eth0]\n"
	     "port: 5353\n"
	     "role: forwarder\n"
	     "transit: yes\n"
	     "with-query: false\n"
	     "identity: ''\n"
	     "query-timeout: 5\n"
	     "queue-size: 1M\n"
	     "ring-size: 1048576\n"
	     "client-net:\n  - 192.0.2.0/24\n  - ::1\n"
	     "type: [AUTH_QUERY, AUTH_RESPONSE]\n"
	     "rcode: [NXDOMAIN, 5]\n"
	     "anonymise: 24,48\n"
	     "confine: off\n"
	     "sinks:\n  - /s full\n",
		"");
	assert_int_equal(options.interface_count, 2);
	assert_string_equal(options.interfaces[1], "eth0");
	assert_int_equal(options.port_count, 1);
	assert_int_equal(options.ports[0], 5353);
	assert_int_equal(options.role, ROLE_FORWARDER);
	assert_true(options.transit);
	assert_false(options.with_query);
	assert_string_equal(options.identity, "");
	assert_int_equal(options.query_timeout, 5);
	assert_int_equal(options.queue_size, 1024 * 1024);
	assert_int_equal(options.client_count, 2);
	assert_int_equal(options.types, 6);
	assert_int_equal(options.rcodes.bits[0], 1 << 3 | 1 << 5);
	assert_int_equal(options.anonymise_v6, 48);
	assert_int_equal(options.confine, CONFINE_OFF);
	assert_int_equal(options.sink_count, 1);
	assert_true(options.sinks[0].full);
	(void)state;
}

static void sinks_in_all_forms(void **state)
{
	good("sinks:\n"
	     "  - /a\n"
	     "  - \"unix:///b c \\t full\"\n"
	     "  - tcp://h:7000?queue=2M full\n"
	     "  - url: tls://[::1]\n"
	     "    full: yes\n"
	     "    queue: 1M\n"
	     "    tls-verify: no\n"
	     "    tls-ca: /etc/a b.pem\n"
	     "  - {url: \"file:///f?rotate-size=1M\", rotate-interval: 1h}\n"
	     "  - url: '-'\n    full: no\n",
		"");
	assert_int_equal(options.sink_count, 6);
	assert_false(options.sinks[0].full);
	assert_string_equal(options.sinks[1].target, "/b c");
	assert_true(options.sinks[1].full);
	assert_int_equal(options.sinks[2].settings.queue_size, 2 << 20);
	assert_int_equal(options.sinks[3].kind, SINK_TLS);
	assert_true(options.sinks[3].full);
	assert_int_equal(options.sinks[3].settings.queue_size, 1 << 20);
	assert_int_equal(options.sinks[3].settings.tls_verify, SINK_NO);
	assert_string_equal(
		sink_setting(&options.sinks[3].settings, options.sinks[3].settings.tls_ca, NULL),
		"/etc/a b.pem");
	assert_int_equal(options.sinks[4].settings.rotate_size, 1 << 20);
	assert_int_equal(options.sinks[4].settings.rotate_interval, 3600);
	assert_int_equal(options.sinks[5].kind, SINK_LINES);
	good("sinks: /only full\n", "");
	assert_true(options.sinks[0].full);
	(void)state;
}

static void the_command_line_wins(void **state)
{
	const char *yaml = "port: [53, 5353]\nrole: auth\nidentity: file\nrcode: REFUSED\n"
			   "interface: lo\nsinks: [/a full, /b]\n";

	good(yaml, "--port 54 --role client --rcode NXDOMAIN");
	assert_int_equal(options.port_count, 1);
	assert_int_equal(options.ports[0], 54);
	assert_int_equal(options.role, ROLE_CLIENT);
	assert_int_equal(options.rcodes.bits[0], 1 << 3);
	assert_string_equal(options.identity, "file");
	assert_string_equal(options.interfaces[0], "lo");
	assert_int_equal(options.sink_count, 2);
	good(yaml, "--port 54 --port 55 /c");
	assert_int_equal(options.port_count, 2);
	assert_int_equal(options.sink_count, 1);
	assert_string_equal(options.sinks[0].target, "/c");
	assert_false(options.sinks[0].full);
	/* an empty file, and one with nothing but a comment */
	good("", "-");
	good("# nothing\n", "-");
	assert_int_equal(options.ports[0], 53);
	(void)state;
}

static void each_fault_has_its_place(void **state)
{
	refused("port: 0\n", "1: port: ", "from 1 to 65535");
	refused("role: auth\nport:\n  - 53\n  - 70000\n", "4: port: ", "70000");
	refused("\n\nnonsense: 1\n", "3: nonsense: ", "no such key");
	refused("Port: 1\n", "1: Port: ", "no such key");
	refused("role: king\n", "1: role: ", "one of auto");
	refused("role: [auth]\n", "1: role: ", "one value here, not a list");
	refused("role: {a: b}\n", "1: role: ", "not a mapping");
	refused("port: 1\nrole: auth\nport: 2\n", "3: port: ", "on line 1 already");
	refused("identity:\n", "1: identity: ", "no value");
	refused("identity: ~\n", "1: identity: ", "no value");
	refused("transit: maybe\n", "1: transit: ", "yes or no");
	refused("config: /x\n", "1: config: ", "only on the command line");
	refused("version: yes\n", "1: version: ", "only on the command line");
	refused("local: 10.0.0.1/8\n", "1: local: ", "10.0.0.0/8");
	refused("with-query: yes\n", "1: with-query: ", "no sink has the word full");
	refused("a\n", "1: ", "keys and values");
	refused("- a\n", "1: ", "keys and values");
	refused("role: auth\n---\nrole: auth\n", "2: ", "second document");
	refused("role: [auth\n", "2: ", "not YAML");
	refused("\trole: auth\n", "1: ", "not YAML");
	refused("identity: \"a\\0b\"\n", "1: identity: ", "NUL");
	refused("extra: '{nothing}'\n", "1: extra: ", "{interface}");
	refused("identity: *none\n", "1: ", "not YAML");
	(void)state;
}

static void faults_of_sinks_have_theirs(void **state)
{
	refused("sinks:\n  - /a\n  - udp://h\n", "3: sinks: ", "udp://h");
	refused("sinks:\n  - /a\n  - unix:///a\n", "3: sinks: ", "named twice");
	refused("sinks: [full]\n", "1: sinks: ", "follow");
	refused("sinks:\n  - url: /a\n    queue: 1\n", "3: sinks: ", "131072");
	refused("sinks:\n  - url: /a\n    colour: red\n", "3: sinks: ", "no option 'colour'");
	refused("sinks:\n  - url: /a\n    full: half\n", "3: full: ", "yes or no");
	refused("sinks:\n  - url: tls://h\n    tls-ca: a&b\n", "3: tls-ca: ", "&");
	refused("sinks:\n  - full: yes\n", "2: sinks: ", "wants the key url");
	refused("sinks:\n  - [/a, full]\n", "2: sinks: ", "not a list");
	refused("sinks:\n  - /a\nsinks:\n  - /b\n", "3: sinks: ", "on line 1 already");
	refused("sinks:\n  - url: udp://h\n    queue: 1M\n", "2: sinks: ", "udp://h");
	assert_int_not_equal(parse("port: 53\n", ""), 0);
	assert_non_null(strstr(error, path));
	assert_non_null(strstr(error, "no sink"));
	(void)state;
}

static void sinks_have_a_bound(void **state)
{
	char text[SINK_TEXT_MAX + 64];

	snprintf(text, sizeof(text), "sinks:\n  - /%0*d\n", SINK_TEXT_MAX, 1);
	refused(text, "2: sinks: ", "longer than");
	snprintf(text, sizeof(text), "sinks:\n  - url: /a\n    tls-ca: /%0*d\n", SINK_TEXT_MAX, 1);
	refused(text, "3: tls-ca: ", "too long");
	(void)state;
}

static void keep_fault(void *arg, const char *line)
{
	(void)arg;
	assert_true(fault_count < FAULTS_MAX);
	snprintf(faults[fault_count++], OPTIONS_ERROR_MAX, "%s", line);
}

static void all_faults_are_found(void **state)
{
	static char name[] = "dnstap-bpf", option[] = "--config", sink[] = "-";
	char *argv[] = {name, option, path, sink, NULL};
	const struct options_source source = {.argc = 4, .argv = argv};
	static const char yaml[] =
		"port: 0\nrole: king\nspool-size: 3T\nsinks: [udp://h]\nodd: 1\n";

	options_free(&options);
	write_bytes(yaml, strlen(yaml));
	fault_count = 0;
	assert_int_not_equal(options_parse_all(&source, &options, keep_fault, NULL), 0);
	assert_int_equal(fault_count, 5);
	for (size_t i = 0; i < fault_count; i++) {
		char begins[128];

		snprintf(begins, sizeof(begins), "%s:%zu: ", path, i + 1);
		assert_int_equal(strncmp(faults[i], begins, strlen(begins)), 0);
	}
	assert_int_not_equal(parse(yaml, "-"), 0);
	assert_non_null(strstr(error, "and 4 more"));
	(void)state;
}

static void no_file_and_no_text(void **state)
{
	static const char binary[] = {'a', ':', ' ', (char)0xff, 0, 1, '\n'};
	char *large = calloc(1, (1 << 20) + 1);
	static char word[] = "--config", none[] = "/no/such/file", name[] = "x", sink[] = "-";
	char *argv[] = {name, word, none, sink, NULL};

	assert_non_null(large);
	options_free(&options);
	assert_int_not_equal(options_parse(4, argv, &options, error), 0);
	assert_non_null(strstr(error, "/no/such/file: No such file"));
	argv[2] = path;
	write_bytes(binary, sizeof(binary));
	assert_int_not_equal(options_parse(4, argv, &options, error), 0);
	assert_non_null(strstr(error, "not YAML"));
	memset(large, '#', 1 << 20);
	large[1 << 20] = '\n';
	write_bytes(large, (1 << 20) + 1);
	assert_int_not_equal(options_parse(4, argv, &options, error), 0);
	assert_non_null(strstr(error, "larger than 1 MiB"));
	free(large);
	(void)state;
}

/* Nobody writes into the pipe, and nobody waits for that. */
static void no_file_but_a_pipe(void **state)
{
	char name[] = "x", word[] = "--config", sink[] = "-", null[] = "/dev/null", root[] = "/";
	char *argv[] = {name, word, path, sink, NULL};

	(void)state;
	options_free(&options);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_not_equal(options_parse(4, argv, &options, error), 0);
	assert_non_null(strstr(error, "it is a pipe, a socket or a device, not a file"));
	argv[2] = null;
	assert_int_not_equal(options_parse(4, argv, &options, error), 0);
	assert_non_null(strstr(error, "/dev/null: it is a pipe, a socket or a device"));
	argv[2] = root;
	assert_int_not_equal(options_parse(4, argv, &options, error), 0);
	assert_non_null(strstr(error, "Is a directory"));
	unlink(path);
}

/* What libyaml would work on for minutes is refused at once. */
static void no_heavy_files(void **state)
{
	enum { BYTES = 1 << 20 };
	static const struct {
		const char *again, *says;
	} heavy[] = {
		{"[", "1: lists and mappings are nested too deep"},
		{"- ", "1: lists and mappings are nested too deep"},
		{"{", "1: lists and mappings are nested too deep"},
		{"? ", "1: lists and mappings are nested too deep"},
		{"- &a a\n", "65: there are too many anchors"},
		{"%TAG !a! b\n", "1: %TAG has no meaning"},
		{"x: 1\n", "1: x: there is no such key"},
	};
	char *large = malloc(BYTES + 1), *end;

	assert_non_null(large);
	for (size_t i = 0; i < sizeof(heavy) / sizeof(heavy[0]); i++) {
		const clock_t began = clock();

		for (end = large; end + strlen(heavy[i].again) <= large + BYTES;)
			end = stpcpy(end, heavy[i].again);
		assert_int_not_equal(parse(large, "-"), 0);
		assert_non_null(strstr(error, heavy[i].says));
		assert_true(clock() - began < 5 * CLOCKS_PER_SEC);
	}
	free(large);
	refused("port: [[[[[[[[1]]]]]]]]\n", "1: ", "nested too deep");
	refused("port: [[[[[[[1]]]]]]]\n", "1: port: ", "not a list");
	(void)state;
}

static void count_name(void *arg, const char *name)
{
	char *names = arg;

	snprintf(names + strlen(names), 200 - strlen(names), "%s ", name);
}

/* A reload: what was decided at the start stays, and lives in the memory of the new ones. */
static void what_is_fixed_stays(void **state)
{
	static struct options was;
	char names[200] = "";

	good("interface: [lo, eth0]\nring: bpf\nmax-queries: 10\nmetrics: 9617\nport: 1\n"
	     "sinks: /a\n",
		"");
	was = options;
	options.text = NULL;
	good("interface: [lo]\nport: 2\nmax-queries: 20\npromiscuous: yes\nsinks: /a\n", "");
	assert_int_equal(options_keep_fixed(&options, &was, count_name, names), 0);
	options_free(&was);
	assert_string_equal(names, "interface promiscuous metrics max-queries ring ");
	assert_int_equal(options.interface_count, 2);
	assert_string_equal(options.interfaces[1], "eth0");
	assert_string_equal(options.metrics, "9617");
	assert_int_equal(options.max_queries, 10);
	assert_int_equal(options.ring, RINGS_BPF);
	assert_false(options.promiscuous);
	assert_int_equal(options.ports[0], 2);
	(void)state;
}

static int set_up(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static int tear_down(void **state)
{
	(void)state;
	options_free(&options);
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_key),
		cmocka_unit_test(sinks_in_all_forms),
		cmocka_unit_test(the_command_line_wins),
		cmocka_unit_test(each_fault_has_its_place),
		cmocka_unit_test(faults_of_sinks_have_theirs),
		cmocka_unit_test(sinks_have_a_bound),
		cmocka_unit_test(all_faults_are_found),
		cmocka_unit_test(no_file_and_no_text),
		cmocka_unit_test(no_file_but_a_pipe),
		cmocka_unit_test(no_heavy_files),
		cmocka_unit_test(what_is_fixed_stays),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
