/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tap's own sockets: what its sinks look up and connect must not come back as dnstap. Sender
 * threads add, the pipeline asks. The newest OWN_SLOTS are remembered, and nothing is asked any
 * more OWN_MEMORY_NS after the last was added: a look-up is over by then, and a tap whose sinks
 * are connected pays one load for each message.
 */
#ifndef AGENT_OWN_H
#define AGENT_OWN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/flow.h"

enum { OWN_SLOTS = 64 };
#define OWN_MEMORY_NS (60 * NS_PER_SECOND)

struct sockaddr;

struct own {
	pthread_mutex_t lock;
	struct flow flows[OWN_SLOTS]; /* src is this host */
	uint32_t next;                /* flows so far */
	_Atomic uint64_t last;        /* monotonic ns when the newest was added; 0: none was */
};

#define OWN_INITIALISER                                                                            \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER                                                  \
	}

/* A sink_own_socket_fn; arg is the struct own. Any thread. */
void own_add(void *arg, int protocol, const struct sockaddr *local, const struct sockaddr *remote);

/* True for a packet of one of these sockets, in either direction. now: monotonic ns. */
bool own_contains(struct own *own, const struct flow *flow, uint64_t now);

#endif
