/* SPDX-License-Identifier: BSD-2-Clause */
/* The pause between two tries, and what ends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "sink/retry.h"

enum { LONG_MS = 5000 }; /* half of the longest pause is 15 s */

static const struct transport_ops ops = {.news = NULL};
static struct transport transport = {.ops = &ops, .fd = -1, .news_fd = -1};
static atomic_bool asked;

static uint64_t pause_of(struct retry *retry, struct wait *wait)
{
	uint64_t began = clock_monotonic();

	retry_pause(retry, wait, &transport, false);
	return (clock_monotonic() - began) / NS_PER_MS;
}

static void it_doubles_up_to_its_limit(void **state)
{
	struct wait wait = {.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
	struct retry retry;

	(void)state;
	retry_init(&retry, &asked);
	assert_true(pause_of(&retry, &wait) >= SINK_BACKOFF_MIN_MS / 2);
	assert_int_equal(retry.ms, 2 * SINK_BACKOFF_MIN_MS);
	retry.ms = SINK_BACKOFF_MAX_MS;
	wait.stop_began = clock_monotonic();
	pause_of(&retry, &wait);
	assert_in_range(retry.ms, SINK_BACKOFF_NEAR_MS, SINK_BACKOFF_MAX_MS);
	close(wait.wake_fd);
}

static void whoever_asks_does_not_wait(void **state)
{
	const uint64_t one = 1;
	struct wait wait = {.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
	struct retry retry;

	(void)state;
	retry_init(&retry, &asked);
	retry.ms = SINK_BACKOFF_MAX_MS;
	asked = true;
	assert_int_equal(write(wait.wake_fd, &one, sizeof(one)), sizeof(one));
	assert_in_range(pause_of(&retry, &wait), 0, LONG_MS);
	assert_int_equal(retry.ms, SINK_BACKOFF_MIN_MS);
	assert_true(asked);
	asked = false;
	close(wait.wake_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_doubles_up_to_its_limit),
		cmocka_unit_test(whoever_asks_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
