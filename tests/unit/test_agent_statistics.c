/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages by type, responses by code, and into which bucket a time falls. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/statistics.h"
#include "base/clock.h"

static struct statistics s;

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	return 0;
}

/* A response without a question; extended: the upper bits of its code, in an OPT record. */
static void respond(enum message_type type, uint8_t rcode, uint8_t extended)
{
	const uint8_t bytes[] = {0, 1, 0x80, rcode, 0, 0, 0, 0, 0, 0, 0, 1,
		/* the root, OPT, 1232 bytes, upper bits, version 0, no flags, no data */
		0, 0, 41, 4, 208, extended, 0, 0, 0, 0, 0};
	struct dns dns;
	const struct message m = {
		.type = type, .family = FAMILY_IPV6, .protocol = IPPROTO_TCP, .dns = &dns};

	assert_int_equal(dns_parse(bytes, sizeof(bytes), sizeof(bytes), &dns), DNS_OK);
	statistics_message(&s, &m);
}

static void test_messages(void **state)
{
	struct message m = {
		.type = MESSAGE_AUTH_QUERY, .family = FAMILY_IPV4, .protocol = IPPROTO_UDP};

	(void)state;
	statistics_message(&s, &m);
	m.family = FAMILY_IPV6;
	statistics_message(&s, &m);
	statistics_message(&s, &m);
	respond(MESSAGE_UPDATE_RESPONSE, 0, 0);
	assert_int_equal(s.messages[MESSAGE_AUTH_QUERY][0][0], 1);
	assert_int_equal(s.messages[MESSAGE_AUTH_QUERY][0][1], 2);
	assert_int_equal(s.messages[MESSAGE_UPDATE_RESPONSE][1][1], 1);
}

static void test_rcodes(void **state)
{
	(void)state;
	respond(MESSAGE_AUTH_RESPONSE, 3, 0);
	respond(MESSAGE_CLIENT_RESPONSE, 0, 1); /* BADVERS, 16 */
	respond(MESSAGE_CLIENT_RESPONSE, 7, 1); /* BADCOOKIE, 23 */
	respond(MESSAGE_UPDATE_RESPONSE, 8, 1); /* the first without a name, 24 */
	respond(MESSAGE_UPDATE_RESPONSE, 15, 255);
	assert_int_equal(s.rcodes[statistics_role(ROLE_AUTH)][3], 1);
	assert_int_equal(s.rcodes[statistics_role(ROLE_CLIENT)][16], 1);
	assert_int_equal(s.rcodes[statistics_role(ROLE_CLIENT)][23], 1);
	assert_int_equal(s.rcodes[statistics_role(ROLE_UPDATE)][STATISTICS_RCODES - 1], 2);
}

static void falls_into(uint64_t ns, unsigned bucket)
{
	setup(NULL);
	statistics_answer(&s, ROLE_CLIENT, 1000, 1000 + ns);
	assert_int_equal(s.latencies[statistics_role(ROLE_CLIENT)].counts[bucket], 1);
	assert_int_equal(s.latencies[statistics_role(ROLE_CLIENT)].sum, ns);
}

/* A bound belongs to its own bucket, as Prometheus' le says. */
static void test_buckets(void **state)
{
	(void)state;
	falls_into(0, 0);
	for (unsigned i = 0; i < STATISTICS_BOUNDS; i++) {
		falls_into(((uint64_t)STATISTICS_BOUND_FIRST << i) - 1, i);
		falls_into((uint64_t)STATISTICS_BOUND_FIRST << i, i);
		falls_into(((uint64_t)STATISTICS_BOUND_FIRST << i) + 1, i + 1);
	}
	falls_into(3600 * NS_PER_SECOND, STATISTICS_BOUNDS);
}

static void test_response_before_query(void **state)
{
	(void)state;
	statistics_answer(&s, ROLE_AUTH, 1000, 900);
	assert_int_equal(s.latencies[statistics_role(ROLE_AUTH)].counts[0], 1);
	assert_int_equal(s.latencies[statistics_role(ROLE_AUTH)].sum, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_messages, setup),
		cmocka_unit_test_setup(test_rcodes, setup),
		cmocka_unit_test_setup(test_buckets, setup),
		cmocka_unit_test_setup(test_response_before_query, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
