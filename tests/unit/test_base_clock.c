/* SPDX-License-Identifier: BSD-2-Clause */
/* Wall time follows a clock that is set by hours, and is asked for once a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "base/clock.h"

#define HOUR (3600 * NS_PER_SECOND)
#define WALL (1700000000 * NS_PER_SECOND)

static uint64_t monotonic, wall;
static unsigned asked;
static unsigned slow_until; /* so many calls each come 50 ms after the one before */

/* This program's own takes the place of the C library's. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	uint64_t now;

	if (asked++ < slow_until) {
		monotonic += 50 * NS_PER_MS;
		wall += 50 * NS_PER_MS;
	}
	now = id == CLOCK_MONOTONIC ? monotonic : wall;
	ret->tv_sec = (time_t)(now / NS_PER_SECOND);
	ret->tv_nsec = (long)(now % NS_PER_SECOND);
	return 0;
}

/* A second and a bit goes by, and the wall clock is set by step. */
static uint64_t seen_after(struct clock *clock, uint64_t step)
{
	monotonic += NS_PER_SECOND + 5;
	wall += NS_PER_SECOND + 5 + step;
	clock_follow(clock, monotonic);
	return monotonic + clock->wall_minus_monotonic;
}

static int set_up(void **state)
{
	(void)state;
	monotonic = 5 * NS_PER_SECOND;
	wall = WALL;
	asked = slow_until = 0;
	return 0;
}

static void test_steps_by_hours(void **state)
{
	static const int64_t hours[] = {5, -7, 24 * 365, -24 * 365, 1, -1};
	struct clock clock = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++) {
		uint64_t seen = seen_after(&clock, (uint64_t)hours[i] * HOUR);

		assert_true(seen == wall);
	}
}

/* A host without a battery may begin in 1970: less on the wall than since boot. */
static void test_wall_before_monotonic(void **state)
{
	struct clock clock = {0};

	(void)state;
	wall = 3;
	clock_follow(&clock, monotonic);
	assert_true(monotonic + clock.wall_minus_monotonic == 3);
	assert_true(seen_after(&clock, WALL) == wall);
}

static void test_once_a_second(void **state)
{
	struct clock clock = {0};
	unsigned calls;

	(void)state;
	clock_follow(&clock, monotonic);
	calls = asked;
	wall += HOUR;
	for (uint64_t ms = 1; ms < 1000; ms++)
		clock_follow(&clock, monotonic + ms * NS_PER_MS);
	assert_int_equal(asked, calls);
	assert_true(monotonic + clock.wall_minus_monotonic == WALL);
	clock_follow(&clock, monotonic + NS_PER_SECOND);
	assert_int_equal(asked, calls + 3);
	assert_true(monotonic + clock.wall_minus_monotonic == WALL + HOUR);
}

/* Others had the CPU between the readings, a few times or always. */
static void test_put_aside(void **state)
{
	struct clock clock = {0};

	(void)state;
	asked = 0;
	slow_until = 7;
	clock_follow(&clock, monotonic);
	assert_int_equal(asked, 3 * 3);
	assert_true(monotonic + clock.wall_minus_monotonic == wall);
	slow_until = UINT32_MAX;
	assert_true(seen_after(&clock, 0) == wall);
	assert_int_equal(asked, 3 * 3 + 3 * CLOCK_TRIES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_steps_by_hours, set_up),
		cmocka_unit_test_setup(test_wall_before_monotonic, set_up),
		cmocka_unit_test_setup(test_once_a_second, set_up),
		cmocka_unit_test_setup(test_put_aside, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
