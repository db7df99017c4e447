/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines on standard output, and what its reader may do to them. */
#include <errno.h>
#include <fcntl.h>
#include <fstrm.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "test_sink_room.h"

/* Standard output is a pipe while the sink lives; the pipe's reading end is returned. */
struct redirected {
	int saved, reader;
};

static struct redirected redirect(void)
{
	struct redirected r;
	int ends[2];

	fflush(stdout);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	r.saved = dup(STDOUT_FILENO);
	r.reader = ends[0];
	dup2(ends[1], STDOUT_FILENO);
	close(ends[1]);
	return r;
}

static void restore(const struct redirected *r)
{
	dup2(r->saved, STDOUT_FILENO);
	close(r->saved);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static void lines_go_out_at_once_and_as_they_are(void **state)
{
	struct redirected r = redirect();
	struct sink *sink = open_sink("-", &live);
	char got[64] = "";

	(void)state;
	restore(&r);
	sink_offer(sink, "one\n", 4);
	sink_offer(sink, "two\n", 4);
	sink_flush(sink);
	for (size_t len = 0; len < 8; len = strlen(got)) {
		assert_true(readable(r.reader, PATIENCE_MS));
		assert_true(read(r.reader, got + len, sizeof(got) - 1 - len) > 0);
	}
	assert_string_equal(got, "one\ntwo\n");
	assert_int_equal(stopped(sink, 500).confirmed, 2);
	sink_free(sink);
	close(r.reader);
}

#define LINE "%u %080u\n"

static void offer_lines(struct sink *sink, unsigned int lines)
{
	char line[128];

	for (unsigned int n = 0; n < lines; n++)
		sink_offer(sink, line, (size_t)snprintf(line, sizeof(line), LINE, n, n));
	sink_flush(sink);
}

static void a_reader_that_pauses_loses_no_byte(void **state)
{
	struct redirected r = redirect();
	struct sink *sink = open_sink("-", &live);
	FILE *in = fdopen(r.reader, "r");
	char line[128], want[128];

	(void)state;
	restore(&r);
	offer_lines(sink, 20000);
	usleep(100000);
	for (unsigned int n = 0; n < 20000; n++) {
		snprintf(want, sizeof(want), LINE, n, n);
		assert_non_null(fgets(line, sizeof(line), in));
		assert_string_equal(line, want);
		if (n % 5000 == 0)
			usleep(20000);
	}
	assert_int_equal(stopped(sink, 500).confirmed, 20000);
	sink_free(sink);
	fclose(in);
}

static void a_reader_that_stopped_does_not_hold_up_the_exit(void **state)
{
	struct redirected r = redirect();
	struct sink *sink = open_sink("-", &live);
	struct sink_counts c;

	(void)state;
	restore(&r);
	offer_lines(sink, 20000);
	c = stopped(sink, SINK_STOP_MS + 300);
	assert_true(c.confirmed > 0 && c.lost_undelivered > 0);
	assert_int_equal(c.confirmed + c.lost_undelivered, 20000);
	sink_free(sink);
	close(r.reader);
}

static void a_closed_pipe_is_told_and_kills_nobody(void **state)
{
	(void)state;
	/* closed while the sink has something to say, and while it has not */
	for (int idle = 0; idle < 2; idle++) {
		struct redirected r = redirect();
		struct sink_options options = live;
		struct sink *sink;

		options.failure_fd = eventfd(0, EFD_CLOEXEC);
		sink = open_sink("-", &options);
		restore(&r);
		close(r.reader);
		if (!idle)
			offer_lines(sink, 10);
		assert_true(readable(options.failure_fd, PATIENCE_MS));
		assert_true(sink_failed(sink));
		offer_lines(sink, 10);
		assert_int_equal(stopped(sink, 500).lost_undelivered, idle ? 10 : 20);
		sink_free(sink);
		close(options.failure_fd);
	}
}

/* A replay that waits for room must not wait for a pipe that is closed. */
static void a_replay_into_a_closed_pipe_ends(void **state)
{
	struct sink_options options = {
		.queue_size = SINK_QUEUE_MIN, .failure_fd = -1, .wait_for_room = true};
	struct redirected r = redirect();
	struct sink *sink = open_sink("-", &options);

	(void)state;
	restore(&r);
	close(r.reader);
	offer_lines(sink, 50000);
	assert_int_equal(stopped(sink, 500).offered, 50000);
	sink_free(sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_go_out_at_once_and_as_they_are),
		cmocka_unit_test(a_reader_that_pauses_loses_no_byte),
		cmocka_unit_test(a_reader_that_stopped_does_not_hold_up_the_exit),
		cmocka_unit_test(a_closed_pipe_is_told_and_kills_nobody),
		cmocka_unit_test(a_replay_into_a_closed_pipe_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
