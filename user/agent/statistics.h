/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tap tells about DNS beside the ledger's bare counts: messages by dnstap type, protocol
 * and family, responses by role and response code, and how long responses took, by role. Arrays
 * that are indexed by what they count, so that a message costs a few nanoseconds. Pure, one thread.
 *
 * Sums that hold between two messages: messages = the ledger's frames; responses = its frames that
 * are responses; latencies = its responses_matched.
 */
#ifndef AGENT_STATISTICS_H
#define AGENT_STATISTICS_H

#include <stdint.h>

#include "base/flow.h"
#include "dnstap/message.h"
#include "exchange/roles.h"

enum {
	STATISTICS_TYPES = MESSAGE_UPDATE_RESPONSE + 1,
	STATISTICS_PROTOCOLS = 2, /* UDP, TCP */
	STATISTICS_FAMILIES = 2,  /* IPv4, IPv6 */
	STATISTICS_ROLES = 7,
	/* IANA's list ends with BADCOOKIE, 23; what is above is counted together, in the last. */
	STATISTICS_RCODES = 25,
	/* CoreDNS's: 0.25 ms, and each twice the one before. */
	STATISTICS_BOUNDS = 16,
	STATISTICS_BOUND_FIRST = 250 * 1000, /* ns */
};

/* [i]: what took at most STATISTICS_BOUND_FIRST << i, and more than the bound before. */
struct statistics_latency {
	uint64_t counts[STATISTICS_BOUNDS + 1];
	uint64_t sum; /* ns */
};

struct statistics {
	uint64_t messages[STATISTICS_TYPES][STATISTICS_PROTOCOLS][STATISTICS_FAMILIES];
	uint64_t rcodes[STATISTICS_ROLES][STATISTICS_RCODES];
	struct statistics_latency latencies[STATISTICS_ROLES];
};

static inline unsigned statistics_role(enum role role)
{
	return (unsigned)role / 2;
}

/* A frame was made of it. */
void statistics_message(struct statistics *s, const struct message *message);
/* A response found its query; ns, both monotonic. */
void statistics_answer(
	struct statistics *s, enum role role, uint64_t query_time, uint64_t response_time);

#endif
