/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "exchange/roles.h"

/* From client c to server s; the numbers make the addresses. */
static struct flow query_flow(unsigned c, unsigned s)
{
	struct flow flow;

	memset(&flow, 0, sizeof(flow));
	flow.family = FAMILY_IPV4;
	flow.protocol = IPPROTO_UDP;
	flow.src_port = 40000;
	flow.dst_port = 53;
	memcpy(flow.src, &c, 4);
	memcpy(flow.dst, &s, 4);
	return flow;
}

static enum role decide(struct roles *r, unsigned server, bool rd, bool server_side)
{
	struct flow query = query_flow(1, server), back = flow_reversed(&query);
	struct dns dns = {.rd = rd};
	enum role role = roles_decide(r, &query, &dns, server_side);

	/* The response of an exchange has the same role by itself. */
	dns.qr = true;
	assert_int_equal(roles_decide(r, &back, &dns, server_side), role);
	return role;
}

static void learn(struct roles *r, unsigned server, bool ra, uint8_t rcode)
{
	struct flow query = query_flow(1, server), back = flow_reversed(&query);
	struct dns dns = {.qr = true, .ra = ra, .rcode = rcode};

	roles_learn(r, &back, &dns);
}

static void test_fixed(void **state)
{
	static const enum role all[] = {ROLE_AUTH, ROLE_RESOLVER, ROLE_CLIENT, ROLE_FORWARDER,
		ROLE_STUB, ROLE_TOOL, ROLE_UPDATE};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct roles *r = roles_new(all[i]);
		struct dns update = {.opcode = DNS_OPCODE_UPDATE};
		struct flow flow = query_flow(1, 2);

		assert_non_null(r);
		learn(r, 2, true, 0);
		for (int bits = 0; bits < 4; bits++)
			assert_int_equal(decide(r, 2, bits & 1, bits & 2), all[i]);
		assert_int_equal(roles_decide(r, &flow, &update, true), all[i]);
		roles_free(r);
	}
	roles_free(NULL);
}

static void test_unknown_server(void **state)
{
	struct roles *r = roles_new(ROLE_AUTO);

	(void)state;
	assert_int_equal(decide(r, 2, true, true), ROLE_CLIENT);
	assert_int_equal(decide(r, 2, false, true), ROLE_AUTH);
	roles_free(r);
}

static void test_initiator_side(void **state)
{
	struct roles *r = roles_new(ROLE_AUTO);

	(void)state;
	for (int ra = 0; ra < 2; ra++) {
		assert_int_equal(decide(r, 2, true, false), ROLE_FORWARDER);
		assert_int_equal(decide(r, 2, false, false), ROLE_RESOLVER);
		learn(r, 2, ra, 0);
	}
	roles_free(r);
}

static void test_update(void **state)
{
	struct roles *r = roles_new(ROLE_AUTO);
	struct dns update = {.opcode = DNS_OPCODE_UPDATE, .rd = true};
	struct flow flow = query_flow(1, 2);

	(void)state;
	assert_int_equal(roles_decide(r, &flow, &update, true), ROLE_UPDATE);
	learn(r, 2, true, 0);
	assert_int_equal(roles_decide(r, &flow, &update, true), ROLE_UPDATE);
	roles_free(r);
}

static void test_ra_decides(void **state)
{
	struct roles *r = roles_new(ROLE_AUTO);

	(void)state;
	learn(r, 2, true, 0);
	learn(r, 3, false, DNS_RCODE_NXDOMAIN);
	for (int rd = 0; rd < 2; rd++) {
		assert_int_equal(decide(r, 2, rd, true), ROLE_CLIENT);
		assert_int_equal(decide(r, 3, rd, true), ROLE_AUTH);
	}
	roles_free(r);
}

static void test_ra_once_seen_stays(void **state)
{
	struct roles *r = roles_new(ROLE_AUTO);

	(void)state;
	learn(r, 2, false, 0);
	assert_int_equal(decide(r, 2, true, true), ROLE_AUTH);
	learn(r, 2, true, 0);
	assert_int_equal(decide(r, 2, false, true), ROLE_CLIENT);
	learn(r, 2, false, 0);
	learn(r, 2, false, DNS_RCODE_REFUSED);
	assert_int_equal(decide(r, 2, false, true), ROLE_CLIENT);
	roles_free(r);
}

static void test_early_errors_teach_nothing(void **state)
{
	static const uint8_t rcodes[] = {DNS_RCODE_FORMERR, DNS_RCODE_NOTIMP, DNS_RCODE_REFUSED};
	struct roles *r = roles_new(ROLE_AUTO);

	(void)state;
	for (size_t i = 0; i < sizeof(rcodes); i++) {
		learn(r, 2, false, rcodes[i]);
		assert_int_equal(decide(r, 2, true, true), ROLE_CLIENT);
		learn(r, 2, true, rcodes[i]);
		assert_int_equal(decide(r, 2, false, true), ROLE_AUTH);
	}
	learn(r, 2, false, DNS_RCODE_SERVFAIL);
	assert_int_equal(decide(r, 2, true, true), ROLE_AUTH);
	learn(r, 2, true, DNS_RCODE_REFUSED);
	assert_int_equal(decide(r, 2, false, true), ROLE_CLIENT);
	roles_free(r);
}

static void test_other_opcodes_teach_nothing(void **state)
{
	struct roles *r = roles_new(ROLE_AUTO);
	struct dns notify = {.qr = true, .opcode = DNS_OPCODE_NOTIFY};
	struct flow query = query_flow(1, 2), back = flow_reversed(&query);

	(void)state;
	roles_learn(r, &back, &notify);
	assert_int_equal(decide(r, 2, true, true), ROLE_CLIENT);
	roles_free(r);
}

static void test_a_server_is_address_and_port(void **state)
{
	struct roles *r = roles_new(ROLE_AUTO);
	struct flow query = query_flow(1, 2), back = flow_reversed(&query);
	struct dns dns = {.rd = false};

	(void)state;
	learn(r, 2, true, 0);
	assert_int_equal(roles_decide(r, &query, &dns, true), ROLE_CLIENT);
	query.src_port = 999; /* the client's does not matter, nor the protocol */
	query.protocol = IPPROTO_TCP;
	assert_int_equal(roles_decide(r, &query, &dns, true), ROLE_CLIENT);
	query.dst_port = 5353;
	assert_int_equal(roles_decide(r, &query, &dns, true), ROLE_AUTH);
	query.dst_port = 53;
	query.family = FAMILY_IPV6;
	assert_int_equal(roles_decide(r, &query, &dns, true), ROLE_AUTH);
	assert_int_equal(roles_decide(r, &back, &dns, true), ROLE_AUTH);
	roles_free(r);
}

static void test_longest_unheard_is_forgotten(void **state)
{
	struct roles *r = roles_new(ROLE_AUTO);

	(void)state;
	for (unsigned s = 0; s < ROLES_SERVERS_MAX; s++)
		learn(r, 100 + s, true, 0);
	assert_int_equal(decide(r, 100, false, true), ROLE_CLIENT);
	learn(r, 100, false, 0);
	learn(r, 99, true, 0);
	assert_int_equal(decide(r, 100, false, true), ROLE_CLIENT);
	assert_int_equal(decide(r, 99, false, true), ROLE_CLIENT);
	assert_int_equal(decide(r, 101, false, true), ROLE_AUTH);
	assert_int_equal(decide(r, 102, false, true), ROLE_CLIENT);
	roles_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_unknown_server),
		cmocka_unit_test(test_initiator_side),
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_ra_decides),
		cmocka_unit_test(test_ra_once_seen_stays),
		cmocka_unit_test(test_early_errors_teach_nothing),
		cmocka_unit_test(test_other_opcodes_teach_nothing),
		cmocka_unit_test(test_a_server_is_address_and_port),
		cmocka_unit_test(test_longest_unheard_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
