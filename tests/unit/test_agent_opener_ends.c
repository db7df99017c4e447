/* SPDX-License-Identifier: BSD-2-Clause */
/* An opener that is stopped, killed or told to end: whom it holds up, and for how long. */
#include "agent_opener_room.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"

/* What a busy machine may add to each time here; the promises that are broken would add more. */
enum { NOISE_MS = 3000 };

static uint64_t now_ms(void)
{
	return clock_monotonic() / NS_PER_MS;
}

/* The only child. */
static pid_t child(void)
{
	FILE *from = fopen("/proc/thread-self/children", "r");
	int pid = 0;

	assert_non_null(from);
	assert_int_equal(fscanf(from, "%d", &pid), 1);
	fclose(from);
	return pid;
}

static void test_ends(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});
	pid_t pid = child();
	uint64_t begun = now_ms();

	(void)state;
	kill(pid, SIGTERM);
	kill(pid, SIGINT);
	kill(pid, SIGHUP);
	assert_int_equal(try_open(r, "x", CREATE), 0);
	finish(r);
	assert_in_range(now_ms() - begun, 0, NOISE_MS);
	assert_int_equal(kill(pid, 0), -1);
	unlink(in_folder("x"));
}

/* What it was asked while it was stopped holds nobody up for longer than he has time. */
static void test_stopped(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});
	uint64_t begun = now_ms();

	(void)state;
	opener_begin_loop(r->opener);
	assert_int_equal(kill(child(), SIGSTOP), 0);
	assert_int_equal(try_open(r, "x", CREATE), -ETIMEDOUT);
	assert_in_range(now_ms() - begun, OPENER_LOOP_MS - 10, OPENER_LOOP_MS + NOISE_MS);
	begun = now_ms();
	for (int i = 0; i < 1000; i++)
		assert_int_equal(try_open(r, "x", CREATE), -ETIMEDOUT);
	assert_in_range(now_ms() - begun, 0, NOISE_MS);
	assert_int_equal(kill(child(), SIGCONT), 0);
	while (try_open(r, "x", CREATE) == -ETIMEDOUT)
		assert_in_range(now_ms() - begun, 0, 10 * NOISE_MS);
	assert_int_equal(try_open(r, "y", CREATE), -EPERM);
	finish(r);
	unlink(in_folder("x"));
}

/* What the exit asks at its end waits no more: there was time for an answer all the while. */
static void test_stopped_at_exit(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});
	const struct timespec sinks = {.tv_nsec = (OPENER_EXIT_MS + 20) * 1000000L};
	pid_t pid = child();
	uint64_t begun;

	(void)state;
	assert_int_equal(kill(pid, SIGSTOP), 0);
	opener_hurry(r->opener);
	nanosleep(&sinks, NULL);
	begun = now_ms();
	for (int i = 0; i < 20; i++)
		assert_int_equal(try_open(r, "x", CREATE), -ETIMEDOUT);
	assert_false(opener_ended(r->opener));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	finish(r);
	assert_in_range(now_ms() - begun, 0, NOISE_MS);
}

static void *ask_once(void *arg)
{
	return (void *)(intptr_t)try_open(arg, "x", CREATE);
}

/* The loop waits behind a sink that has more time as long as for its own; at the end nobody does.
 */
static void test_stopped_with_others(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});
	uint64_t begun;
	pthread_t sink;
	void *result;

	(void)state;
	opener_begin_loop(r->opener);
	assert_int_equal(kill(child(), SIGSTOP), 0);
	assert_int_equal(pthread_create(&sink, NULL, ask_once, r), 0);
	begun = now_ms();
	while (now_ms() - begun < 50)
		sched_yield();
	for (int i = 0; i < 100; i++)
		assert_int_equal(opener_socket(r->opener, 0, NETNS_PACKET), -ETIMEDOUT);
	assert_in_range(now_ms() - begun, 0, OPENER_LOOP_MS + NOISE_MS);
	opener_hurry(r->opener);
	pthread_join(sink, &result);
	assert_int_equal((intptr_t)result, -ETIMEDOUT);
	assert_in_range(now_ms() - begun, 0, OPENER_EXIT_MS + NOISE_MS);
	kill(child(), SIGKILL);
	finish(r);
	unlink(in_folder("x"));
}

static unsigned int lines;

static void count_line(const char *line)
{
	lines += strstr(line, "opener has ended") != NULL;
}

/* Killed, or ended by its own list of system calls: an error, and one line. */
static void test_killed(void **state)
{
	struct room *r = start((const char *[]){"file://@/x", NULL});

	(void)state;
	lines = 0;
	log_set_function(count_line);
	kill(child(), SIGKILL);
	assert_int_equal(try_open(r, "x", CREATE), -EPIPE);
	assert_int_equal(try_open(r, "x", CREATE), -EPIPE);
	assert_int_equal(lines, 1);
	assert_true(opener_ended(r->opener) && opener_ended(r->opener));
	assert_int_equal(lines, 2);
	log_set_function(NULL);
	finish(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_stopped_at_exit),
		cmocka_unit_test(test_stopped_with_others),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
