/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/clock.h"

#include <time.h>

enum { SAMPLES_MAX = 5, CLOSE_NS = 20000 };

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

uint64_t clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

uint64_t clock_earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The closest of a few pairs: one between whose clocks we were preempted is wrong by as much. */
static uint64_t sample_difference(void)
{
	uint64_t closest = UINT64_MAX, difference = 0;

	for (int i = 0; i < SAMPLES_MAX && closest > CLOSE_NS; i++) {
		uint64_t before = clock_monotonic(), wall = clock_wall();
		uint64_t took = clock_monotonic() - before;

		if (took < closest) {
			closest = took;
			difference = wall - before - took / 2;
		}
	}
	return difference;
}

void clock_follow(struct clock *clock, uint64_t now)
{
	if (clock->sampled && now - clock->sampled < NS_PER_SECOND)
		return;
	clock->sampled = now;
	clock->wall_minus_monotonic = sample_difference();
}
