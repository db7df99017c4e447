/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which query does this response answer. Pending queries stand in a table keyed by both
 * addresses, both ports, protocol and DNS id; among those of one key the question, compared
 * without case, decides, and the oldest wins. A response without a question matches the oldest
 * query of its key that had none either or is a transfer, else, where its opcode is UPDATE or its
 * rcode is FORMERR, SERVFAIL, NOTIMP or REFUSED, the oldest query of its key.
 *
 * A client that repeats a query has several pending: a response takes the oldest, and the others
 * are then retries, not losses, when they are given up without a response of their own.
 *
 * Zone transfers (AXFR, IXFR over TCP) have many responses. The first answers the query, which
 * then stays, not pending any more, and gives its time to the later ones, with or without a
 * question, until the connection ends, a response bears an error, the key is used again or no
 * response came for a timeout.
 *
 * Ledger. This equation holds after each call:
 *
 *   queries = queries_answered + queries_unanswered + queries_retried + queries_evicted
 *           + exchanges_pending()
 *
 * exchanges_query counts queries. exchanges_response counts responses and responses_matched when
 * it returns true, and nothing when false: such a response may be held and asked about again, and
 * the owner counts responses and responses_unmatched once, when it lets it go without a query.
 * A retry counts as queries_retried whatever ended it: timeout, connection, bounds, drain.
 *
 * Bounds: max_queries entries, PENDING_PER_KEY of one key; over them the oldest is given up
 * (queries_evicted). Queries older than the timeout are given up by exchanges_expire, which the
 * owner calls at least once a second of packet time. Pure: now is monotonic nanoseconds from the
 * packets' own clock; where it goes back, time stands still until it has caught up. One thread.
 */
#ifndef EXCHANGE_EXCHANGES_H
#define EXCHANGE_EXCHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/flow.h"
#include "base/ledger.h"
#include "exchange/copies.h"
#include "exchange/roles.h"
#include "wire/dns.h"

enum {
	EXCHANGES_MAX_QUERIES_MIN = 1,
	EXCHANGES_MAX_QUERIES_DEFAULT = 65536,
	EXCHANGES_MAX_QUERIES_MAX = 1 << 24,
	EXCHANGES_TIMEOUT_MIN = 1, /* seconds */
	EXCHANGES_TIMEOUT_DEFAULT = 30,
	EXCHANGES_TIMEOUT_MAX = 3600,
	EXCHANGES_PENDING_PER_KEY = 64,
};

struct exchanges;

/* What a response learns from its query. */
struct exchange_query {
	uint64_t time; /* monotonic ns of the query's own packet */
	uint64_t wall; /* the same moment in wall time, as it was emitted */
	enum role role;
	struct copy copy; /* of its bytes; len 0: none was kept */
};

/* ledger outlives the result. NULL without memory or where max_queries is out of its bounds. */
struct exchanges *exchanges_new(size_t max_queries, uint64_t timeout_ns, struct ledger *ledger);
void exchanges_free(struct exchanges *x);

/* A query was seen, flow in its own direction, dns whole (DNS_OK). */
void exchanges_query(struct exchanges *x, const struct flow *flow, const struct dns *dns,
	const struct exchange_query *query);

/* A response was seen, flow in its own direction: true, and ret filled, if its query is known. */
bool exchanges_response(struct exchanges *x, const struct flow *flow, const struct dns *dns,
	uint64_t now, struct exchange_query *ret);

/* True while a query of this flow (its own direction) and id may still have a response. */
bool exchanges_expects(const struct exchanges *x, const struct flow *flow, uint16_t id);

/* A TCP connection ended: what it was still owed is unanswered. Either direction's flow. */
void exchanges_connection_end(struct exchanges *x, const struct flow *flow);

void exchanges_expire(struct exchanges *x, uint64_t now);
/* When exchanges_expire has something to do next, in monotonic ns; UINT64_MAX: never. */
uint64_t exchanges_next_expiry(const struct exchanges *x);
/* At exit: all that is pending is given up as unanswered. */
void exchanges_drain(struct exchanges *x);

/* The queries that are owed a response, retries among them, continuing transfers not. */
size_t exchanges_pending(const struct exchanges *x);
/* Of the ledger's queries_unanswered those of one role. */
uint64_t exchanges_unanswered(const struct exchanges *x, enum role role);
/* Bytes allocated in all. */
size_t exchanges_memory(const struct exchanges *x);

#endif
