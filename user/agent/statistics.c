/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/statistics.h"

#include <netinet/in.h>

#include "wire/edns.h"

static void count_rcode(struct statistics *s, const struct message *m)
{
	unsigned rcode = edns_rcode(m->dns), last = STATISTICS_RCODES - 1;

	s->rcodes[((unsigned)m->type - 1) / 2][rcode < last ? rcode : last]++;
}

void statistics_message(struct statistics *s, const struct message *m)
{
	s->messages[m->type][m->protocol == IPPROTO_TCP][m->family == FAMILY_IPV6]++;
	if (!message_is_query(m))
		count_rcode(s, m);
}

/* The bound doubles, so which one it is is told by the highest bit. */
static unsigned bucket_of(uint64_t ns)
{
	uint64_t steps = ns ? (ns - 1) / STATISTICS_BOUND_FIRST : 0;
	unsigned bucket = steps ? 64 - (unsigned)__builtin_clzll(steps) : 0;

	return bucket < STATISTICS_BOUNDS ? bucket : STATISTICS_BOUNDS;
}

/* A response may be stamped before its query, on another CPU: by less than it matters here. */
void statistics_answer(
	struct statistics *s, enum role role, uint64_t query_time, uint64_t response_time)
{
	struct statistics_latency *l = &s->latencies[statistics_role(role)];
	uint64_t ns = response_time > query_time ? response_time - query_time : 0;

	l->counts[bucket_of(ns)]++;
	l->sum += ns;
}
