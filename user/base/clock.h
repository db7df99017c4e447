/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two clocks. Packets are stamped with CLOCK_MONOTONIC, which never steps; dnstap wants wall
 * time. A struct clock keeps the difference and samples it again when a second has passed, so
 * that wall time follows the host's clock without a system call for each message.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_SECOND 1000000000ULL
#define NS_PER_MS     1000000ULL

struct clock {
	uint64_t wall_minus_monotonic; /* ns, modulo 2^64 */
	uint64_t sampled;              /* monotonic ns; 0: never */
};

/* CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds. */
uint64_t clock_monotonic(void);
uint64_t clock_wall(void);

/* Of two moments; UINT64_MAX is never. */
uint64_t clock_earlier(uint64_t a, uint64_t b);

/* Samples the difference again if a second has passed since; now is clock_monotonic(). */
void clock_follow(struct clock *clock, uint64_t now);

#endif
