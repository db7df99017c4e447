/* SPDX-License-Identifier: BSD-2-Clause */
/* Zone transfers: one query, many responses. */
#include "exchange_exchanges_room.h"

static void test_transfer(void **state)
{
	struct flow flow = query_flow(3);

	(void)state;
	for (uint16_t type = DNS_TYPE_IXFR; type <= DNS_TYPE_AXFR; type++) {
		send_query(3, make(7, 1, type), 100);
		assert_int_equal(respond(3, make(7, 1, type), 0), 100);
		assert_int_equal(exchanges_pending(x), 0);
		for (int i = 0; i < 1000; i++)
			assert_int_equal(
				respond(3, make(7, i & 1 ? NO_QUESTION : 1, type), 0), 100);
		assert_int_equal(respond(3, make(8, NO_QUESTION, 0), 0), 0);
		exchanges_connection_end(x, &flow);
		assert_int_equal(respond(3, make(7, 1, type), 0), 0);
	}
	assert_int_equal(ledger.queries_answered, 2);
	assert_int_equal(ledger.queries_unanswered, 0);
	assert_int_equal(ledger.responses_matched, 2002);
}

static void test_transfer_lives_while_it_goes_on(void **state)
{
	uint64_t now = 100, time;

	(void)state;
	send_query(3, make(7, 1, DNS_TYPE_AXFR), now);
	for (int i = 0; i < 10; i++) {
		now += TIMEOUT - 1;
		exchanges_expire(x, now);
		assert_true(respond_at(3, make(7, 1, DNS_TYPE_AXFR), now, 0, &time));
		assert_true(time == 100);
	}
	assert_true(exchanges_next_expiry(x) == now + TIMEOUT);
	exchanges_expire(x, now + TIMEOUT);
	assert_true(exchanges_next_expiry(x) == UINT64_MAX);
	assert_int_equal(ledger.queries_unanswered, 0);
}

static void test_transfer_does_not_keep_others_alive(void **state)
{
	uint64_t time;

	(void)state;
	send_query(3, make(7, 1, DNS_TYPE_AXFR), 100);
	query(2, 7, 1, 200);
	assert_true(respond_at(3, make(7, 1, DNS_TYPE_AXFR), TIMEOUT, 0, &time));
	exchanges_expire(x, 200 + TIMEOUT);
	assert_int_equal(exchanges_pending(x), 0);
	assert_int_equal(ledger.queries_unanswered, 1);
	assert_int_equal(respond(3, make(7, NO_QUESTION, 0), 0), 100);
}

static void test_transfer_refused(void **state)
{
	(void)state;
	send_query(3, make(7, 1, DNS_TYPE_AXFR), 100);
	assert_int_equal(respond(3, make(7, 1, DNS_TYPE_AXFR), DNS_RCODE_REFUSED), 100);
	assert_int_equal(respond(3, make(7, 1, DNS_TYPE_AXFR), DNS_RCODE_REFUSED), 0);
	assert_true(exchanges_next_expiry(x) == UINT64_MAX);
}

static void test_transfer_over_udp_has_one_response(void **state)
{
	(void)state;
	send_query(2, make(7, 1, DNS_TYPE_IXFR), 100);
	assert_int_equal(respond(2, make(7, NO_QUESTION, 0), 0), 0);
	assert_int_equal(respond(2, make(7, 1, DNS_TYPE_IXFR), 0), 100);
	assert_int_equal(respond(2, make(7, 1, DNS_TYPE_IXFR), 0), 0);
}

static void test_transfer_id_used_again(void **state)
{
	(void)state;
	send_query(3, make(7, 1, DNS_TYPE_AXFR), 100);
	assert_int_equal(respond(3, make(7, 1, DNS_TYPE_AXFR), 0), 100);
	send_query(3, make(7, 1, DNS_TYPE_AXFR), 200);
	assert_int_equal(exchanges_pending(x), 1);
	assert_int_equal(respond(3, make(7, 1, DNS_TYPE_AXFR), 0), 200);
	assert_int_equal(ledger.queries_answered, 2);
}

/* A full table of transfers that go on is no loss, and the next query has room. */
static void test_transfers_are_given_up_uncounted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		send_query(2 * i + 1, make(7, 1, DNS_TYPE_AXFR), 100 + i);
		assert_true(respond(2 * i + 1, make(7, 1, DNS_TYPE_AXFR), 0));
	}
	query(2, 7, 1, 5000);
	assert_int_equal(ledger.queries_evicted, 0);
	assert_int_equal(exchanges_pending(x), 1);
	assert_int_equal(respond(1, make(7, 1, DNS_TYPE_AXFR), 0), 0);
	assert_int_equal(respond(3, make(7, 1, DNS_TYPE_AXFR), 0), 101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_transfer),
		TEST(test_transfer_lives_while_it_goes_on),
		TEST(test_transfer_does_not_keep_others_alive),
		TEST(test_transfer_refused),
		TEST(test_transfer_over_udp_has_one_response),
		TEST(test_transfer_id_used_again),
		TEST(test_transfers_are_given_up_uncounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
