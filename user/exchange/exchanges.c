/* SPDX-License-Identifier: BSD-2-Clause */
#include "exchange/exchanges.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "base/table.h"

/* Plain memory without padding. */
struct exchange_key {
	struct flow flow; /* the query's direction */
	uint16_t id;
};
_Static_assert(sizeof(struct exchange_key) == 40, "struct exchange_key is hashed as memory");

enum pending_state {
	PENDING_OWED,     /* no response yet */
	PENDING_REPEATED, /* none either, but an identical query of the client was answered */
	PENDING_CONTINUED /* a zone transfer, answered and going on: not pending any more */
};

/* The TCP queries of one connection, in a circle with the connection's own link. */
struct link {
	struct link *next, *previous;
};

struct pending {
	struct link link; /* first, so that a link is its entry; NULL over UDP */
	struct exchange_query query;
	uint64_t active;   /* when its time began to run: the query's, or its last response's */
	uint64_t question; /* keyed hash of the question; NO_QUESTION */
	enum pending_state state;
	bool transfer;
};

enum { NO_QUESTION = 0 };

struct exchanges {
	struct table *queries;     /* struct exchange_key -> struct pending */
	struct table *connections; /* struct flow, the query's direction -> struct link */
	struct ledger *ledger;
	uint64_t timeout;
	size_t continued; /* entries in PENDING_CONTINUED */
	uint64_t unanswered[ROLE_UPDATE + 1];
};

struct exchanges *exchanges_new(size_t max_queries, uint64_t timeout_ns, struct ledger *ledger)
{
	struct exchanges *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->ledger = ledger;
	x->timeout = timeout_ns;
	x->queries = table_new(max_queries, sizeof(struct exchange_key), sizeof(struct pending));
	x->connections = table_new(max_queries, sizeof(struct flow), sizeof(struct link));
	if (!x->queries || !x->connections) {
		exchanges_free(x);
		return NULL;
	}
	return x;
}

void exchanges_free(struct exchanges *x)
{
	if (!x)
		return;
	table_free(x->queries);
	table_free(x->connections);
	free(x);
}

static uint64_t question_of(const struct exchanges *x, const struct dns *dns)
{
	uint8_t key[DNS_NAME_MAX + 4];
	uint32_t len = dns_question_key(dns, key);

	return len ? table_hash(x->queries, key, len) | 1 : NO_QUESTION;
}

/* There are never more connections than queries, so their table has room. */
static void join_connection(struct exchanges *x, const struct flow *flow, struct pending *p)
{
	struct link *head = table_find(x->connections, flow);

	if (!head) {
		head = table_add(x->connections, flow);
		head->next = head->previous = head;
	}
	p->link = (struct link){.next = head, .previous = head->previous};
	head->previous->next = &p->link;
	head->previous = &p->link;
}

static void leave_connection(struct exchanges *x, struct pending *p)
{
	struct link *next = p->link.next;

	if (!next)
		return;
	next->previous = p->link.previous;
	p->link.previous->next = next;
	if (next->next == next)
		table_remove(x->connections, next);
}

static void forget(struct exchanges *x, struct pending *p)
{
	leave_connection(x, p);
	if (p->state == PENDING_CONTINUED)
		x->continued--;
	table_remove(x->queries, p);
}

/* reason is the ledger's count for a query that is still owed its response. */
static void give_up(struct exchanges *x, struct pending *p, uint64_t *reason)
{
	if (p->state == PENDING_OWED) {
		++*reason;
		x->unanswered[p->query.role] += reason == &x->ledger->queries_unanswered;
	} else if (p->state == PENDING_REPEATED) {
		x->ledger->queries_retried++;
	}
	forget(x, p);
}

/*
 * Before a query is added: within both bounds. A transfer that had the same key is over, for a
 * client uses an id again on one connection only when it is free.
 */
static void make_room(struct exchanges *x, const struct exchange_key *key)
{
	struct pending *oldest = NULL, *next;
	unsigned count = 0;

	for (struct pending *p = table_find(x->queries, key); p; p = next) {
		next = table_find_next(x->queries, p);
		if (p->state == PENDING_CONTINUED) {
			forget(x, p);
			continue;
		}
		if (!oldest)
			oldest = p;
		count++;
	}
	if (count >= EXCHANGES_PENDING_PER_KEY)
		give_up(x, oldest, &x->ledger->queries_evicted);
	else if (table_full(x->queries))
		give_up(x, table_oldest(x->queries), &x->ledger->queries_evicted);
}

void exchanges_query(struct exchanges *x, const struct flow *flow, const struct dns *dns,
	const struct exchange_query *query)
{
	struct exchange_key key = {.flow = *flow, .id = dns->id};
	bool tcp = flow->protocol == IPPROTO_TCP;
	struct pending *p;

	x->ledger->queries++;
	make_room(x, &key);
	p = table_add(x->queries, &key);
	p->query = *query;
	p->active = query->time;
	p->question = question_of(x, dns);
	p->transfer = tcp && dns_is_transfer(dns);
	if (tcp)
		join_connection(x, flow, p);
}

/* Servers leave the question out where they could not or would not read it. */
static bool may_omit_question(const struct dns *dns)
{
	switch (dns->rcode) {
	case DNS_RCODE_FORMERR:
	case DNS_RCODE_SERVFAIL:
	case DNS_RCODE_NOTIMP:
	case DNS_RCODE_REFUSED:
		return true;
	default:
		return dns->opcode == DNS_OPCODE_UPDATE;
	}
}

static struct pending *find_query(
	const struct exchanges *x, const struct exchange_key *key, const struct dns *response)
{
	struct pending *first = table_find(x->queries, key);
	uint64_t question;

	if (!first)
		return NULL;
	question = question_of(x, response);
	for (struct pending *p = first; p; p = table_find_next(x->queries, p))
		if (p->question == question || (question == NO_QUESTION && p->transfer))
			return p;
	return question == NO_QUESTION && may_omit_question(response) ? first : NULL;
}

/* The client has its answer: its other copies of the query, all younger, are retries. */
static void mark_repeated(struct exchanges *x, const struct pending *answered)
{
	struct pending *p = table_find_next(x->queries, answered);

	for (; p; p = table_find_next(x->queries, p))
		if (p->question == answered->question && p->state == PENDING_OWED)
			p->state = PENDING_REPEATED;
}

/* A transfer goes on until the connection ends, unless it was refused. */
static void settle(struct exchanges *x, struct pending *p, const struct dns *response, uint64_t now)
{
	bool continued = p->state == PENDING_CONTINUED;

	if (!continued)
		x->ledger->queries_answered++;
	if (!p->transfer || response->rcode != DNS_RCODE_NOERROR) {
		forget(x, p);
		return;
	}
	x->continued += !continued;
	p->state = PENDING_CONTINUED;
	p->active = now;
	table_touch(x->queries, p);
}

bool exchanges_response(struct exchanges *x, const struct flow *flow, const struct dns *dns,
	uint64_t now, struct exchange_query *ret)
{
	struct exchange_key key = {.flow = flow_reversed(flow), .id = dns->id};
	struct pending *p = find_query(x, &key, dns);

	if (!p)
		return false;
	x->ledger->responses++;
	x->ledger->responses_matched++;
	*ret = p->query;
	mark_repeated(x, p);
	settle(x, p, dns, now);
	return true;
}

bool exchanges_expects(const struct exchanges *x, const struct flow *flow, uint16_t id)
{
	struct exchange_key key = {.flow = *flow, .id = id};

	return table_find(x->queries, &key);
}

static void end_direction(struct exchanges *x, const struct flow *flow)
{
	struct link *head;

	while ((head = table_find(x->connections, flow)))
		give_up(x, (struct pending *)head->next, &x->ledger->queries_unanswered);
}

void exchanges_connection_end(struct exchanges *x, const struct flow *flow)
{
	struct flow back = flow_reversed(flow);

	end_direction(x, flow);
	end_direction(x, &back);
}

void exchanges_expire(struct exchanges *x, uint64_t now)
{
	while (exchanges_next_expiry(x) <= now && table_count(x->queries))
		give_up(x, table_oldest(x->queries), &x->ledger->queries_unanswered);
}

uint64_t exchanges_next_expiry(const struct exchanges *x)
{
	const struct pending *oldest = table_oldest(x->queries);

	if (!oldest)
		return UINT64_MAX;
	return oldest->active > UINT64_MAX - x->timeout ? UINT64_MAX : oldest->active + x->timeout;
}

void exchanges_drain(struct exchanges *x)
{
	struct pending *oldest;

	while ((oldest = table_oldest(x->queries)))
		give_up(x, oldest, &x->ledger->queries_unanswered);
}

size_t exchanges_pending(const struct exchanges *x)
{
	return table_count(x->queries) - x->continued;
}

uint64_t exchanges_unanswered(const struct exchanges *x, enum role role)
{
	return x->unanswered[role];
}

size_t exchanges_memory(const struct exchanges *x)
{
	return sizeof(*x) + table_memory(x->queries) + table_memory(x->connections);
}
