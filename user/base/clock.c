/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/clock.h"

#include <time.h>

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

void clock_follow(struct clock *clock, uint64_t now)
{
	uint64_t nearest = UINT64_MAX;

	if (clock->sampled && now - clock->sampled < NS_PER_SECOND)
		return;
	clock->sampled = now;
	for (int i = 0; i < CLOCK_TRIES && nearest > CLOCK_NEAR_NS; i++) {
		uint64_t before = clock_monotonic(), wall = clock_wall();
		uint64_t apart = clock_monotonic() - before;

		if (apart >= nearest)
			continue;
		nearest = apart;
		clock->wall_minus_monotonic = wall - before - apart / 2;
	}
}
