/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a live tap tells the operator by itself: what it watches and how to try it, why nothing may
 * be seen, and a CPU without a ring. It only logs; what it looks at is the caller's. One thread.
 */
#ifndef AGENT_TELL_H
#define AGENT_TELL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/options.h"
#include "agent/taps.h"
#include "capture/loader.h"

struct tell {
	const struct options *options;
	struct loader *loader;
	struct taps *taps;
	bool others;           /* there are network namespaces that are not watched */
	uint64_t cpus_checked; /* monotonic ns */
	uint64_t silence_ends; /* monotonic ns; 0: told, or a packet was seen */
};

/* "perf" or "BPF". */
const char *tell_ring(const struct loader *loader);

void tell_hello(struct tell *tell);
/* After a drain; nothing: it brought no packet. */
void tell_more(struct tell *tell, uint64_t now, bool nothing);
/* When tell_more has something to look at, monotonic ns; UINT64_MAX: nothing. */
uint64_t tell_next(const struct tell *tell);

#endif
