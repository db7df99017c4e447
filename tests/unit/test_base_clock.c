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
static unsigned asked, preempted; /* preempted: the calls after which time goes by, by bit */

static void pass(uint64_t ns)
{
	monotonic += ns;
	wall += ns;
}

/* This program's own takes the place of the C library's. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	uint64_t now = id == CLOCK_MONOTONIC ? monotonic : wall;

	if (preempted >> asked++ & 1)
		pass(NS_PER_SECOND / 50);
	ret->tv_sec = (time_t)(now / NS_PER_SECOND);
	ret->tv_nsec = (long)(now % NS_PER_SECOND);
	return 0;
}

/* A second and a bit goes by, and the wall clock is set by step. */
static uint64_t seen_after(struct clock *clock, uint64_t step)
{
	pass(NS_PER_SECOND + 5);
	wall += step;
	clock_follow(clock, monotonic);
	return monotonic + clock->wall_minus_monotonic;
}

static int set_up(void **state)
{
	(void)state;
	monotonic = 5 * NS_PER_SECOND;
	wall = WALL;
	asked = preempted = 0;
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

/* Whoever runs in between the first two pairs, the third is right. */
static void test_preempted(void **state)
{
	struct clock clock = {0};

	(void)state;
	asked = 0; /* cmocka reads the clock too */
	preempted = 1 << 1 | 1 << 3;
	clock_follow(&clock, monotonic);
	assert_int_equal(asked, 9);
	assert_true(monotonic + clock.wall_minus_monotonic == wall);
}

/* Always: then it is the one that took least time, and at most half of that beside. */
static void test_always_preempted(void **state)
{
	struct clock clock = {0};
	uint64_t wrong;

	(void)state;
	preempted = ~0U;
	clock_follow(&clock, monotonic);
	wrong = monotonic + clock.wall_minus_monotonic - wall + NS_PER_SECOND / 50;
	assert_true(wrong <= NS_PER_SECOND / 25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_steps_by_hours, set_up),
		cmocka_unit_test_setup(test_wall_before_monotonic, set_up),
		cmocka_unit_test_setup(test_once_a_second, set_up),
		cmocka_unit_test_setup(test_preempted, set_up),
		cmocka_unit_test_setup(test_always_preempted, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
