/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is read and written, while one call after another fails: the ledger is replaced whole or
 * stays, the spool has what it said it took, a replay ends with its ledger balanced or says why it
 * cannot, and the sets of addresses stay as they were.
 */
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
#include "scene.h"
#include "sink/files.h"
#include "sink/spool.h"

enum { FRAMES = 30, FRAME = 20000, COMMITS = 3 };

static char ledger_path[SCENE_PATH_MAX], file_path[SCENE_PATH_MAX], spool_path[SCENE_PATH_MAX];

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

	scene_write(ledger_path, "old");
	before = scene_count_files();
	rc = summary_check_file(&files_plain, ledger_path);
	failures_check(!rc || (rc < 0 && failures_failed()));
	rc = summary_json_file(&summary, &files_plain, ledger_path);
	failures_check(!rc || (rc < 0 && failures_failed()));
	failures_check(how == FAILURES_ERROR || !rc);
	failures_check(scene_read(ledger_path, text, sizeof(text)));
	if (rc)
		failures_check(!strcmp(text, "old"));
	else
		failures_check(strstr(text, "\"balanced\": true}\n"));
	failures_check(scene_count_files() == before || failures_failed_in("unlink"));
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

static int replay(struct options *options, const struct options_source *source)
{
	return run_replay(options, source);
}

static void replay_file(enum failures_how how)
{
	static char text[20000];
	char words[][SCENE_WORD_MAX] = {"dnstap-bpf", "-r", "tests/data/talk-ethernet.pcap",
		"--with-query", "--ledger", "", "--extra", "{vlan}", "", "full", "--confine",
		"off"};
	int status;

	snprintf(words[5], sizeof(words[5]), "%s", ledger_path);
	snprintf(words[8], sizeof(words[8]), "file://%s", file_path);
	scene_write(ledger_path, "old");
	status = scene_run(replay, words, sizeof(words) / sizeof(words[0]));
	failures_check(status == EXIT_OK || (failures_failed() && how == FAILURES_ERROR));
	failures_check(status == EXIT_OK || status == EXIT_RUNTIME);
	failures_check(status == EXIT_OK || failures_lines() > 0);
	failures_check(scene_read(ledger_path, text, sizeof(text)));
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

static bool set_up(void)
{
	scene_path("ledger.json", ledger_path);
	scene_path("file", file_path);
	scene_path("spool", spool_path);
	return freopen("/dev/null", "r", stdin);
}

int main(void)
{
	enum { QUIETLY = FAILURES_INTERRUPT | FAILURES_SHORT };
	static const struct scene_test tests[] = {
		SCENE_TEST(write_ledger, FAILURES_ERROR),
		SCENE_TEST(fill_spool, FAILURES_ERROR | QUIETLY),
		SCENE_TEST(empty_spool, FAILURES_ERROR | QUIETLY),
		SCENE_TEST(replay_file, FAILURES_ERROR | QUIETLY),
		SCENE_TEST(open_capture, FAILURES_ERROR),
		SCENE_TEST(list_interfaces, FAILURES_ERROR | FAILURES_INTERRUPT),
		SCENE_TEST(list_addresses, FAILURES_ERROR | FAILURES_INTERRUPT),
	};

	return scene_main(tests, sizeof(tests) / sizeof(tests[0]), set_up, NULL);
}
