/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole exposition: every count is in it once, and the largest one fits its buffer. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/figures.h"
#include "agent/metrics.h"

enum { SINKS = OUTLETS_ROWS_MAX };

static char bytes[METRICS_SIZE + 1];
static struct options options;
static struct statistics statistics;
static struct figures_sink sinks[SINKS];

/* No two fields of these have the same number. */
static union {
	struct ledger counts;
	uint64_t numbers[sizeof(struct ledger) / sizeof(uint64_t)];
} ledger;
static union {
	struct fragments_counts counts;
	uint64_t numbers[sizeof(struct fragments_counts) / sizeof(uint64_t)];
} fragments;
static union {
	struct streams_counts counts;
	uint64_t numbers[sizeof(struct streams_counts) / sizeof(uint64_t)];
} streams;
static union {
	struct sink_counts counts;
	uint64_t numbers[sizeof(struct sink_counts) / sizeof(uint64_t)];
} sink;

static void number(uint64_t *numbers, size_t count, uint64_t from)
{
	for (size_t i = 0; i < count; i++)
		numbers[i] = from + i;
}
#define NUMBER(u, from) number((u).numbers, sizeof((u).numbers) / sizeof(uint64_t), from)

static void write_all(size_t sink_count, bool whole)
{
	struct figures f = {
		.version = "1.2.3",
		.ring = "perf",
		.options = &options,
		.ledger = &ledger.counts,
		.fragments = &fragments.counts,
		.streams = &streams.counts,
		.statistics = &statistics,
		.process = {.start = 1, .cpu = 1, .memory = 1},
		.sinks = sinks,
		.sink_count = sink_count,
	};
	struct exposition e;

	NUMBER(ledger, 1000000001);
	NUMBER(fragments, 2000000001);
	NUMBER(streams, 3000000001);
	NUMBER(sink, 4000000001);
	exposition_begin(&e, bytes, METRICS_SIZE);
	figures_write(&f, &e);
	bytes[e.len] = '\0';
	assert_int_equal(exposition_whole(&e), whole);
}

static unsigned occurrences(const char *text)
{
	unsigned count = 0;

	for (const char *at = bytes; (at = strstr(at, text)); at++)
		count++;
	return count;
}

/* Every count stands there under its name, in a line of its own. */
static void has(const char *name, uint64_t value)
{
	char end[64];
	const char *at;

	snprintf(end, sizeof(end), " %" PRIu64 "\n", value);
	if (occurrences(end) != 1)
		fail_msg("%s: %" PRIu64 " stands there %u times", name, value, occurrences(end));
	at = strstr(bytes, end);
	while (at > bytes && at[-1] != '\n')
		at--;
	if (!strstr(at, name) || strstr(at, name) > strstr(at, end))
		fail_msg("not %s: %.*s", name, (int)strcspn(at, "\n"), at);
}

static void test_every_count(void **state)
{
	(void)state;
	snprintf(sinks[0].label, sizeof(sinks[0].label), "unix:///s");
	NUMBER(sink, 4000000001);
	sinks[0].counts = sink.counts;
	write_all(1, true);
	ledger.counts.queries_unanswered = 0; /* by role: the caller's */
#define HAS(name, kind, text)                                                                      \
	if (ledger.counts.name)                                                                    \
		has(#name, ledger.counts.name);
	LEDGER_LIST(HAS)
#undef HAS
#define HAS(name, kind, text)                                                                      \
	if (strcmp(#name, "fragments") && strcmp(#name, "reassembled"))                            \
		has(#name, fragments.counts.name);
	FRAGMENTS_LIST(HAS)
#undef HAS
#define HAS(name, kind, text)                                                                      \
	if (strcmp(#name, "messages"))                                                             \
		has(#name, streams.counts.name);
	STREAMS_COUNTS_LIST(HAS)
#undef HAS
#define HAS(name, kind, text) has("sink=\"unix:///s\"", sink.counts.name);
	SINK_COUNT_LIST(HAS)
#undef HAS
	has("lost_queue_full", sink.counts.lost_queue_full);
	assert_int_equal(
		occurrences("dnstap_bpf_build_info{version=\"1.2.3\",ring=\"perf\"} 1\n"), 1);
}

/* A metric whose TYPE is told twice is refused by Prometheus. */
static void test_names_are_told_once(void **state)
{
	(void)state;
	write_all(2, true);
	for (const char *at = bytes; (at = strstr(at, "# TYPE ")); at++) {
		char line[EXPOSITION_NAME_MAX + 16];

		snprintf(line, sizeof(line), "%.*s ", (int)(7 + strcspn(at + 7, " ")), at);
		if (occurrences(line) != 1)
			fail_msg("%s is there twice", line);
	}
}

static void test_only_what_is_there(void **state)
{
	(void)state;
	statistics.messages[MESSAGE_AUTH_QUERY][1][0] = 5;
	statistics.rcodes[statistics_role(ROLE_AUTH)][3] = 6;
	statistics.rcodes[statistics_role(ROLE_AUTH)][12] = 7;
	statistics.rcodes[statistics_role(ROLE_AUTH)][STATISTICS_RCODES - 1] = 8;
	write_all(0, true);
	assert_int_equal(occurrences("dnstap_bpf_dnstap_messages_total{"), 1);
	assert_non_null(strstr(bytes, "dnstap_bpf_dnstap_messages_total{type=\"AUTH_QUERY\","
				      "protocol=\"tcp\",family=\"ipv4\"} 5\n"));
	assert_non_null(strstr(bytes, "{role=\"AUTH\",rcode=\"NXDOMAIN\"} 6\n"));
	assert_non_null(strstr(bytes, "{role=\"AUTH\",rcode=\"RCODE12\"} 7\n"));
	assert_non_null(strstr(bytes, "{role=\"AUTH\",rcode=\"other\"} 8\n"));
	assert_int_equal(occurrences("response_latency_seconds_bucket"), 0);
}

/* As many sinks as there can be, with the longest labels, all to be escaped, and numbers too. */
static void test_largest(void **state)
{
	(void)state;
	memset(&statistics, 0xff, sizeof(statistics));
	memset(&options, 0xff, sizeof(options));
	for (size_t i = 0; i < SINKS; i++) {
		memset(&sinks[i], 0xff, sizeof(sinks[i]));
		memset(sinks[i].label, '"', FIGURES_LABEL_MAX - 1);
		sinks[i].label[FIGURES_LABEL_MAX - 1] = '\0';
		sinks[i].running = i < OPTIONS_SINKS_MAX;
		sinks[i].connected = true;
	}
	write_all(SINKS, true);
	print_message("the largest exposition: %zu bytes\n", strlen(bytes));
}

static void test_labels(void **state)
{
	char label[FIGURES_LABEL_MAX], url[1000];

	(void)state;
	figures_label("tls://host?tls-key=/etc/secret&queue=1M", label);
	assert_string_equal(label, "tls://host");
	memset(url, 'x', sizeof(url));
	url[sizeof(url) - 1] = '\0';
	figures_label(url, label);
	assert_int_equal(strlen(label), FIGURES_LABEL_MAX - 1);
	/* a character of two bytes at the border stays out whole */
	memcpy(url + FIGURES_LABEL_MAX - 2, "\xc3\xa4", 2);
	figures_label(url, label);
	assert_int_equal(strlen(label), FIGURES_LABEL_MAX - 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_count),
		cmocka_unit_test(test_names_are_told_once),
		cmocka_unit_test(test_only_what_is_there),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
