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
	if (clock->sampled && now - clock->sampled < NS_PER_SECOND)
		return;
	clock->sampled = now;
	clock->wall_minus_monotonic = clock_wall() - clock_monotonic();
}
