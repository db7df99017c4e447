/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of exchange/exchanges share: short queries and answers of numbered clients. */
#ifndef EXCHANGE_EXCHANGES_ROOM_H
#define EXCHANGE_EXCHANGES_ROOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "base/clock.h"
#include "exchange/exchanges.h"

enum { NO_QUESTION = -1, TIMEOUT_S = 30 };
#define TIMEOUT (TIMEOUT_S * NS_PER_SECOND)

static struct ledger ledger;
static struct exchanges *x;

static inline int set_up(void **state)
{
	(void)state;
	memset(&ledger, 0, sizeof(ledger));
	x = exchanges_new(1000, TIMEOUT, &ledger);
	return x ? 0 : -1;
}

static inline void assert_balance(void)
{
	assert_int_equal(ledger.queries, ledger.queries_answered + ledger.queries_unanswered +
			ledger.queries_retried + ledger.queries_evicted + exchanges_pending(x));
	assert_int_equal(ledger.responses, ledger.responses_matched);
	assert_int_equal(ledger.responses_unmatched, 0);
}

static inline int tear_down(void **state)
{
	(void)state;
	assert_balance();
	exchanges_drain(x);
	assert_int_equal(exchanges_pending(x), 0);
	assert_true(exchanges_next_expiry(x) == UINT64_MAX);
	assert_balance();
	exchanges_free(x);
	return 0;
}

/* The query's flow of a client, over UDP (even numbers) or TCP (odd ones). */
static inline struct flow query_flow(unsigned client)
{
	struct flow flow;

	memset(&flow, 0, sizeof(flow));
	flow.family = FAMILY_IPV6;
	flow.protocol = client & 1 ? IPPROTO_TCP : IPPROTO_UDP;
	flow.src_port = 40000;
	flow.dst_port = 53;
	memcpy(flow.src, &client, sizeof(client));
	flow.dst[15] = 0x35;
	return flow;
}

/* A message with the question "<name>.example", type A; a name of NO_QUESTION has none. */
struct message {
	uint8_t bytes[64];
	struct dns dns;
};

static inline struct message make(uint16_t id, int name, uint16_t type)
{
	struct message m = {.bytes = {0}};

	m.dns.id = id;
	if (name == NO_QUESTION)
		return m;
	memcpy(m.bytes, "\4n000\7example", 13);
	for (int i = 4; i >= 2; i--, name /= 10)
		m.bytes[i] = (uint8_t)('0' + name % 10);
	m.bytes[14] = (uint8_t)(type >> 8);
	m.bytes[15] = (uint8_t)type;
	m.bytes[17] = 1;
	m.dns.qdcount = 1;
	m.dns.qname_len = 14;
	m.dns.qtype = type;
	m.dns.qclass = 1;
	return m;
}

static inline void send_query(unsigned client, struct message m, uint64_t time)
{
	struct flow flow = query_flow(client);
	struct exchange_query q = {.time = time, .wall = time + 7, .role = ROLE_AUTH};

	if (m.dns.qdcount)
		m.dns.qname = m.bytes;
	exchanges_query(x, &flow, &m.dns, &q);
	assert_balance();
}

static inline bool respond_at(
	unsigned client, struct message m, uint64_t now, uint8_t rcode, uint64_t *ret_time)
{
	struct flow query = query_flow(client), flow = flow_reversed(&query);
	struct exchange_query q;
	bool matched;

	if (m.dns.qdcount)
		m.dns.qname = m.bytes;
	m.dns.qr = true;
	m.dns.rcode = rcode;
	matched = exchanges_response(x, &flow, &m.dns, now, &q);
	if (matched) {
		assert_true(q.wall == q.time + 7);
		assert_int_equal(q.role, ROLE_AUTH);
		*ret_time = q.time;
	}
	assert_balance();
	return matched;
}

/* The time of the query that the response finds; 0: none (queries here begin at 1). */
static inline uint64_t respond(unsigned client, struct message m, uint8_t rcode)
{
	uint64_t time = 0;

	respond_at(client, m, 1000, rcode, &time);
	return time;
}

static inline void query(unsigned client, uint16_t id, int name, uint64_t time)
{
	send_query(client, make(id, name, 1), time);
}

static inline uint64_t answer(unsigned client, uint16_t id, int name)
{
	return respond(client, make(id, name, 1), DNS_RCODE_NOERROR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
