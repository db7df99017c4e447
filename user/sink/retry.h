/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pause between two tries to connect: 10 ms, doubling to 30 s, each shortened by up to half at
 * random so that many taps do not come back in step. It ends at once, and starts from 10 ms again,
 * when the transport has news of its other end or the user asks for it; and at once when a stop
 * begins. Half a second is
 * the limit where a try costs nothing or the other end is known to be there: after a connection
 * that did its handshake, for a Unix path that cannot be watched, for a disk, and while stopping.
 * Threads: the sender's.
 */
#ifndef SINK_RETRY_H
#define SINK_RETRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sink/transport.h"
#include "sink/wait.h"

enum {
	SINK_BACKOFF_MIN_MS = 10,
	SINK_BACKOFF_NEAR_MS = 500,
	SINK_BACKOFF_MAX_MS = 30 * 1000,
};

struct retry {
	unsigned int ms; /* the next pause */
	uint64_t random;
	const atomic_bool *asked; /* for a try at once; whoever tries takes it back */
};

void retry_init(struct retry *retry, const atomic_bool *asked);
/* What was tried is well: the next pause is the shortest again. */
void retry_reset(struct retry *retry);
/* near: the lower limit is to hold. */
void retry_pause(struct retry *retry, struct wait *wait, struct transport *t, bool near);

#endif
