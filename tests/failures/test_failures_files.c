/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is read and written, while one call after another fails: the ledger is replaced whole or
 * stays, the spool has what it said it took, a replay ends with its ledger balanced or says why it
 * cannot, and the sets of addresses stay as they were.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/options.h"
#include "agent/run.h"
#include "agent/summary.h"
#include "capture/interfaces.h"
#include "capture/replay.h"
#include "failures.h"
#include "sink/files.h"
#include "sink/spool.h"

enum { FRAMES = 30, FRAME = 20000, COMMITS = 3 };

static char directory[] = "/tmp/test-failures-XXXXXX";
static char ledger_path[64], file_path[64], spool_path[64];

/* What of the file's beginning and end there is; false: no such file. */
static bool read_file(const char *path, char *text, size_t size)
{
	FILE *from;
	size_t len = 0;

	failures_spare(true);
	from = fopen(path, "re");
	if (from) {
		len = fread(text, 1, size - 1, from);
		fclose(from);
	}
	failures_spare(false);
	text[len] = 0;
	return from;
}

static void write_file(const char *path, const char *text)
{
	FILE *to;

	failures_spare(true);
	to = fopen(path, "we");
	failures_check(to && fputs(text, to) >= 0);
	fclose(to);
	failures_spare(false);
}

static unsigned int files_beside(void)
{
	unsigned int count = 0;
	DIR *dir;

	failures_spare(true);
	dir = opendir(directory);
	while (readdir(dir))
		count++;
	closedir(dir);
	failures_spare(false);
	return count;
}

static void write_ledger(enum failures_how how)
{
	static const struct ledger ledger;
	static const struct fragments_counts fragments;
	static const struct streams_counts streams;
	const struct summary summary = {
		.ledger = &ledger, .fragments = &fragments, .streams = &streams, .final = true};
	static char text[20000];
	unsigned int before;
	int rc;

	write_file(ledger_path, "old");
	before = files_beside();
	rc = summary_check_file(&files_plain, ledger_path);
	failures_check(!rc || (rc < 0 && failures_failed()));
	rc = summary_json_file(&summary, &files_plain, ledger_path);
	failures_check(!rc || (rc < 0 && failures_failed()));
	failures_check(how == FAILURES_ERROR || !rc);
	failures_check(read_file(ledger_path, text, sizeof(text)));
	if (rc)
		failures_check(!strcmp(text, "old"));
	else
		failures_check(strstr(text, "\"balanced\": true}\n"));
	failures_check(files_beside() == before || failures_failed_in("unlink"));
}

/* The spool. */

static const struct sink_url url = {.kind = SINK_UNIX, .target = "/run/x", .text = "/run/x"};

static struct spool *open_spool(void)
{
	char hint[300] = "";
	struct spool *spool = NULL;
	int rc = spool_new(
		&files_plain, spool_path, &url, SINK_SPOOL_MIN, &spool, hint, sizeof(hint));

	failures_check(!rc == !!spool && (!rc || (rc < 0 && failures_failed())));
	return spool;
}

static bool put_some(struct spool *spool, uint8_t commit)
{
	static uint8_t frame[FRAME];

	memset(frame, commit, sizeof(frame));
	for (int i = 0; i < FRAMES / COMMITS; i++)
		failures_check(spool_put(spool, frame, sizeof(frame)));
	return !spool_commit(spool);
}

/* All that waits; each must be of a commit that was said to be done. */
static unsigned int read_all(struct spool *spool, const bool *done, bool deliver)
{
	struct spool_cursor at = spool_oldest(spool);
	unsigned int count = 0;
	const void *bytes;
	size_t len;

	while (spool_next(spool, &at, &bytes, &len)) {
		const uint8_t *frame = bytes;

		failures_check(len == FRAME && frame[0] < COMMITS && frame[0] == frame[len - 1]);
		failures_check(done[frame[0]]);
		count++;
	}
	if (deliver) {
		spool_claim(spool, &at);
		spool_settle(spool, true, 0);
	}
	return count;
}

static void fill_spool(enum failures_how how)
{
	struct spool *spool = open_spool();
	bool done[COMMITS] = {false};
	unsigned int committed = 0;

	if (spool) {
		for (uint8_t i = 0; i < COMMITS; i++) {
			done[i] = put_some(spool, i);
			committed += done[i];
		}
		failures_check(how == FAILURES_ERROR || committed == COMMITS);
		failures_check(read_all(spool, done, false) <= committed * FRAMES / COMMITS);
		spool_free(spool);
	}
	failures_spare(true);
	spool = open_spool();
	/* one that could not be read when it was to be is given up, and said to be torn */
	if (spool_counts(spool)->recovered != committed * FRAMES / COMMITS)
		failures_check(how == FAILURES_ERROR && failures_failed());
	read_all(spool, done, true);
	failures_check(spool_empty(spool));
	spool_free(spool);
	failures_spare(false);
}

/* The spool empties while the calls that this takes fail: nothing that waits is lost. */
static void empty_spool(enum failures_how how)
{
	const bool done[COMMITS] = {true, true, true};
	struct spool *spool;

	(void)how;
	failures_spare(true);
	spool = open_spool();
	for (uint8_t i = 0; i < COMMITS; i++)
		failures_check(put_some(spool, i));
	failures_spare(false);
	read_all(spool, done, true);
	spool_free(spool);
	failures_spare(true);
	spool = open_spool();
	read_all(spool, done, true);
	failures_check(spool_empty(spool));
	spool_free(spool);
	failures_spare(false);
}

/* A replay, the whole program. */

/* Runs it with these words; the opener of the run before has told of its end. */
static int run_program(char words[][80], int count)
{
	static struct options options;
	char *argv[16], error[OPTIONS_ERROR_MAX];
	const struct options_source source = {.argc = count, .argv = argv};
	int status;

	for (int i = 0; i < count; i++)
		argv[i] = words[i];
	argv[count] = NULL;
	failures_spare(true);
	failures_check(!options_parse_from(&source, &options, error));
	signal(SIGCHLD, SIG_DFL);
	failures_spare(false);
	status = run_replay(&options, &source);
	options_free(&options);
	return status;
}

static void replay_file(enum failures_how how)
{
	static char text[20000];
	char words[][80] = {"dnstap-bpf", "-r", "tests/data/talk-ethernet.pcap", "--with-query",
		"--ledger", "", "--extra", "{vlan}", "", "full", "--confine", "off"};
	int status;

	snprintf(words[5], sizeof(words[5]), "%s", ledger_path);
	snprintf(words[8], sizeof(words[8]), "file://%s", file_path);
	write_file(ledger_path, "old");
	status = run_program(words, sizeof(words) / sizeof(words[0]));
	failures_check(status == EXIT_OK || (failures_failed() && how == FAILURES_ERROR));
	failures_check(status == EXIT_OK || status == EXIT_RUNTIME);
	failures_check(status == EXIT_OK || failures_lines() > 0);
	failures_check(read_file(ledger_path, text, sizeof(text)));
	if (strcmp(text, "old"))
		failures_check(strstr(text, "\"final\": true, \"balanced\": true}\n"));
	else
		failures_check(failures_lines() > 0);
}

static void open_capture(enum failures_how how)
{
	static const char *const paths[] = {"tests/data/talk-raw.pcapng", "-", "/nowhere"};
	char error[REPLAY_ERROR_MAX];
	struct captured packet;

	(void)how;
	for (size_t i = 0; i < 3; i++) {
		struct replay *replay = NULL;
		int rc = replay_open(paths[i], &replay, error);

		failures_check(!rc == !!replay);
		if (!rc)
			rc = replay_begin(replay, error);
		*error = rc ? *error : 0;
		failures_check(!rc == !*error);
		while (!rc && replay_next(replay, &packet, error) > 0)
			;
		replay_close(replay);
	}
}

static struct netlink open_route(void)
{
	struct netlink route;

	failures_spare(true);
	route = (struct netlink){.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
	failures_check(route.fd >= 0);
	failures_spare(false);
	return route;
}

static void close_route(struct netlink *route)
{
	failures_spare(true);
	close(route->fd);
	failures_spare(false);
}

static void subscribe(bool filter)
{
	struct netlink watch = open_route();
	int rc = interfaces_subscribe(watch.fd, filter);

	failures_check(!rc || (rc < 0 && failures_failed()));
	if (!rc)
		interfaces_changed(watch.fd);
	close_route(&watch);
}

static void list_interfaces(enum failures_how how)
{
	struct netlink route = open_route();
	struct interface *all = NULL;
	size_t count = 0;
	int rc = interfaces_list(&route, &all, &count);

	failures_check(rc || count > 0);
	failures_check(!rc || (rc < 0 && failures_failed() && how == FAILURES_ERROR));
	if (!rc)
		rc = interfaces_mark_routed(&route, all, count);
	failures_check(!rc || (rc < 0 && failures_failed() && how == FAILURES_ERROR));
	free(all);
	close_route(&route);
	subscribe(false);
	subscribe(true);
}

static void list_addresses(enum failures_how how)
{
	static const uint8_t sentinel[16] = {192, 0, 2, 1};
	struct netlink route = open_route();
	struct prefixes *local, *broadcast;
	int rc;

	failures_spare(true);
	local = prefixes_new();
	broadcast = prefixes_new();
	failures_check(local && broadcast && !prefixes_add(local, FAMILY_IPV4, sentinel, 32));
	failures_spare(false);
	rc = interfaces_local(&route, local, broadcast);
	failures_check(!rc || (rc < 0 && failures_failed() && how == FAILURES_ERROR));
	failures_check(!rc == !prefixes_contain(local, FAMILY_IPV4, sentinel));
	prefixes_free(local);
	prefixes_free(broadcast);
	close_route(&route);
}

#define TEST(scenario, ...)                                                                        \
	static void test_##scenario(void **state)                                                  \
	{                                                                                          \
		static const enum failures_how hows[] = {__VA_ARGS__};                             \
                                                                                                   \
		(void)state;                                                                       \
		for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)                        \
			assert_true(failures_each(#scenario, scenario, hows[i]) > 0);              \
	}

TEST(write_ledger, FAILURES_ERROR)
TEST(fill_spool, FAILURES_ERROR, FAILURES_INTERRUPT, FAILURES_SHORT)
TEST(empty_spool, FAILURES_ERROR, FAILURES_INTERRUPT, FAILURES_SHORT)
TEST(replay_file, FAILURES_ERROR, FAILURES_INTERRUPT, FAILURES_SHORT)
TEST(open_capture, FAILURES_ERROR)
TEST(list_interfaces, FAILURES_ERROR, FAILURES_INTERRUPT)
TEST(list_addresses, FAILURES_ERROR, FAILURES_INTERRUPT)

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory) || !freopen("/dev/null", "r", stdin))
		return -1;
	snprintf(ledger_path, sizeof(ledger_path), "%s/ledger.json", directory);
	snprintf(file_path, sizeof(file_path), "%s/file", directory);
	snprintf(spool_path, sizeof(spool_path), "%s/spool", directory);
	return 0;
}

static int remove_directory(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_ledger),
		cmocka_unit_test(test_fill_spool),
		cmocka_unit_test(test_empty_spool),
		cmocka_unit_test(test_replay_file),
		cmocka_unit_test(test_open_capture),
		cmocka_unit_test(test_list_interfaces),
		cmocka_unit_test(test_list_addresses),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
