/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sinks of each kind, sending while one call after another fails: the sink does not start and says
 * why, or each frame is accounted for. A single failure costs a collector's sink a connection at
 * most; an interrupted call or a short write costs nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../unit/test_sink_collector.h"
#include "base/clock.h"
#include "failures.h"
#include "sink/dnstap-emit.h"
#include "sink/sink.h"

enum { FRAMES = 40, PATIENCE_MS = 3000 };

static char directory[] = "/tmp/test-failures-XXXXXX";
static char unix_path[64], file_path[64], spool_path[64], certificate[64];
static struct collector *on_unix, *on_tcp; /* in processes of their own, in shared memory */
static uint16_t tcp_port;

struct words {
	char text[200];
	const struct collector *collector; /* NULL: nobody can tell what came */
	bool replay;
	bool spooled;
};

/* No two runs use a number twice: what comes late of one is not taken for the next one's. */
static uint64_t next_number;

static void offer_all(struct sink *sink)
{
	uint8_t frame[2000] = {0};

	next_number = (next_number + FRAMES) % (FRAMES_MAX - FRAMES);
	for (uint64_t n = 0; n < FRAMES; n++) {
		uint64_t number = next_number + n;

		memcpy(frame, &number, sizeof(number));
		sink_offer(sink, frame, sizeof(frame) - n);
	}
	sink_flush(sink);
}

static uint64_t received_by(const struct collector *c)
{
	uint64_t received = 0;

	for (uint64_t n = 0; n < FRAMES; n++)
		received += c->seen[next_number + n];
	return received;
}

/* What was offered has become something, and the collector saw no less than was confirmed. */
static void check_counts(const struct sink *sink, const struct words *w)
{
	uint64_t received = w->collector ? received_by(w->collector) : 0;
	struct sink_counts c;

	sink_read_counts(sink, &c);
	failures_check(c.offered == FRAMES && !c.queued && !c.written);
	failures_check(c.offered + c.recovered == c.confirmed + c.unconfirmed + c.spooled +
							  c.lost_queue_full + c.lost_undelivered +
							  c.given_up);
	if (w->collector && !c.recovered)
		failures_check(received >= c.confirmed);
	if (w->collector && !w->spooled)
		failures_check(received <= c.confirmed + c.unconfirmed);
}

static void check_nothing_lost(
	const struct sink *sink, const struct words *w, enum failures_how how)
{
	struct sink_counts c;

	sink_read_counts(sink, &c);
	failures_check(!c.lost_queue_full && !c.lost_undelivered);
	/* what the disk will not give back is given up and said to be torn */
	failures_check(c.torn || !c.given_up);
	/* without FINISH it stays for the next run */
	failures_check(w->spooled || !c.spooled);
	if (how == FAILURES_INTERRUPT || how == FAILURES_SHORT)
		failures_check(c.confirmed == c.offered + c.recovered);
}

/* A connection is made, and all was sent, in spite of a failure. */
static void await_sent(const struct sink *sink)
{
	struct sink_counts c;
	uint64_t until = clock_monotonic() + PATIENCE_MS * NS_PER_MS;

	do {
		usleep(500);
		sink_read_counts(sink, &c);
	} while ((!c.connections || c.queued || c.spooled) && !sink_failed(sink) &&
		 clock_monotonic() < until);
}

static void send_through(const struct words *w, enum failures_how how)
{
	struct sink_options options = {.queue_size = SINK_QUEUE_MIN,
		.failure_fd = -1,
		.interrupt_fd = -1,
		.wait_for_room = w->replay};
	char error[300] = "";
	struct sink_url url;
	struct sink *sink = NULL;
	int rc;

	failures_check(!sink_url_parse(w->text, &url, error, sizeof(error)));
	rc = sink_new(&url, &options, &sink, error, sizeof(error));
	if (rc) {
		failures_check(rc < 0 && failures_failed() && how != FAILURES_SHORT && !sink);
		failures_check(strstr(error, "sink '") && !strchr(error, '\n'));
		failures_check(!strstr(error, "Success"));
		return;
	}
	offer_all(sink);
	if (w->collector && how != FAILURES_ALL && how != FAILURES_SAME)
		await_sent(sink);
	sink_stop(sink);
	check_counts(sink, w);
	if (w->collector && how != FAILURES_ALL && how != FAILURES_SAME)
		check_nothing_lost(sink, w, how);
	sink_free(sink);
}

/* The scenarios. */

static void to_unix(enum failures_how how)
{
	struct words w = {.collector = on_unix};

	snprintf(w.text, sizeof(w.text), "unix://%s", unix_path);
	send_through(&w, how);
}

static void to_unix_in_replay(enum failures_how how)
{
	struct words w = {.collector = on_unix, .replay = true};

	snprintf(w.text, sizeof(w.text), "unix://%s", unix_path);
	send_through(&w, how);
}

static void to_tcp(enum failures_how how)
{
	struct words w = {.collector = on_tcp};

	snprintf(w.text, sizeof(w.text), "tcp://127.0.0.1:%u", tcp_port);
	send_through(&w, how);
}

static void to_unix_by_spool(enum failures_how how)
{
	struct words w = {.collector = on_unix, .spooled = true};

	snprintf(w.text, sizeof(w.text), "unix://%s?spool=%s&spool-size=4M", unix_path, spool_path);
	send_through(&w, how);
}

static void to_name(enum failures_how how)
{
	static const struct words w = {.text = "tcp://localhost:1"};

	send_through(&w, how);
}

static void to_nobody_by_tls(enum failures_how how)
{
	struct words w = {0};

	snprintf(w.text, sizeof(w.text), "tls://127.0.0.1:1?tls-ca=%s&tls-cert=%s", certificate,
		certificate);
	send_through(&w, how);
}

/* Speaks no TLS, but it is there. */
static void to_other_by_tls(enum failures_how how)
{
	struct words w = {0};

	snprintf(w.text, sizeof(w.text), "tls://127.0.0.1:%u?tls-ca=%s", tcp_port, certificate);
	send_through(&w, how);
}

static void to_file(enum failures_how how)
{
	struct words w = {0};

	snprintf(w.text, sizeof(w.text), "file://%s", file_path);
	send_through(&w, how);
}

static void to_many_files(enum failures_how how)
{
	struct words w = {0};

	snprintf(w.text, sizeof(w.text), "file://%s.%%s?rotate-size=64K&rotate-interval=1h",
		file_path);
	send_through(&w, how);
}

static void to_stdout(enum failures_how how)
{
	static const struct words w = {.text = "-"};
	int keep;

	failures_spare(true);
	keep = dup(STDOUT_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO); /* which is /dev/null now */
	failures_spare(false);
	send_through(&w, how);
	failures_spare(true);
	dup2(keep, STDOUT_FILENO);
	close(keep);
	failures_spare(false);
}

static void by_library(enum failures_how how)
{
	static const uint8_t query[12] = {0};
	const struct dnstap_emit_message message = {
		.type = DNSTAP_EMIT_TOOL_QUERY, .query = {query, sizeof(query)}};
	const struct dnstap_emit_options options = {.identity = "x", .queue_size = SINK_QUEUE_MIN};
	const char *const words[] = {unix_path, "full"};
	struct dnstap_emit_counts counts;
	struct dnstap_emit *emit = NULL;
	char error[300] = "";
	int rc = dnstap_emit_open(&options, words, 2, &emit, error, sizeof(error));

	(void)how;
	if (rc) {
		failures_check(rc < 0 && failures_failed() && *error && !emit);
		return;
	}
	failures_check(!dnstap_emit_tap(emit, &message));
	dnstap_emit_close(emit, &counts);
	failures_check(counts.frames ==
		       counts.confirmed + counts.unconfirmed + counts.in_flight + counts.lost);
	failures_check(counts.frames == 1 && !counts.in_flight);
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

TEST(to_unix, FAILURES_ERROR, FAILURES_SAME, FAILURES_INTERRUPT, FAILURES_SHORT)
TEST(to_unix_in_replay, FAILURES_ERROR)
TEST(to_tcp, FAILURES_ERROR, FAILURES_INTERRUPT, FAILURES_SHORT)
TEST(to_unix_by_spool, FAILURES_ERROR, FAILURES_SAME, FAILURES_INTERRUPT, FAILURES_SHORT)
TEST(to_name, FAILURES_ERROR)
TEST(to_nobody_by_tls, FAILURES_ERROR)
TEST(to_other_by_tls, FAILURES_ERROR)
TEST(to_file, FAILURES_ERROR, FAILURES_ALL, FAILURES_SAME, FAILURES_INTERRUPT, FAILURES_SHORT)
TEST(to_many_files, FAILURES_ERROR, FAILURES_SAME, FAILURES_INTERRUPT, FAILURES_SHORT)
TEST(to_stdout, FAILURES_ERROR, FAILURES_ALL, FAILURES_SAME, FAILURES_INTERRUPT)
TEST(by_library, FAILURES_ERROR)

/* A collector in a process of its own, so that its calls are not among those that fail. */
static struct collector *new_collector(void)
{
	struct collector *c =
		mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(c, MAP_FAILED);
	c->manner = GOOD;
	c->connection = -1;
	return c;
}

static pid_t collectors[2];

static void start_collector(struct collector *c, int number)
{
	collectors[number] = fork();
	if (collectors[number]) {
		close(c->listener);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	collect(c);
	_exit(0);
}

static int make_all(void **state)
{
	char command[500];

	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(unix_path, sizeof(unix_path), "%s/unix.sock", directory);
	snprintf(file_path, sizeof(file_path), "%s/file", directory);
	snprintf(spool_path, sizeof(spool_path), "%s/spool", directory);
	snprintf(certificate, sizeof(certificate), "%s/cert.pem", directory);
	snprintf(command, sizeof(command),
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 "
		"-subj /CN=127.0.0.1 -keyout %s -out %s.crt 2>/dev/null && cat %s.crt >>%s",
		certificate, certificate, certificate, certificate);
	if (system(command)) {
		fprintf(stderr, "openssl makes no certificate: is it installed?\n");
		return -1;
	}
	on_unix = new_collector();
	on_tcp = new_collector();
	listen_unix(on_unix, unix_path);
	tcp_port = listen_tcp(on_tcp, "127.0.0.1");
	start_collector(on_unix, 0);
	start_collector(on_tcp, 1);
	return 0;
}

static int remove_all(void **state)
{
	char command[100];

	(void)state;
	/* without a collector it would be 0: everybody here */
	for (int i = 0; i < 2 && collectors[i] > 0; i++) {
		kill(collectors[i], SIGKILL);
		waitpid(collectors[i], NULL, 0);
	}
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_to_unix),
		cmocka_unit_test(test_to_unix_in_replay),
		cmocka_unit_test(test_to_tcp),
		cmocka_unit_test(test_to_unix_by_spool),
		cmocka_unit_test(test_to_name),
		cmocka_unit_test(test_to_nobody_by_tls),
		cmocka_unit_test(test_to_other_by_tls),
		cmocka_unit_test(test_to_file),
		cmocka_unit_test(test_to_many_files),
		cmocka_unit_test(test_to_stdout),
		cmocka_unit_test(test_by_library),
	};

	return cmocka_run_group_tests(tests, make_all, remove_all);
}
