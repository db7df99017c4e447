/* SPDX-License-Identifier: BSD-2-Clause */
/* Which query a response answers, and what becomes of those that nothing answers. */
#include "exchange_exchanges_room.h"

static void test_pair(void **state)
{
	(void)state;
	for (unsigned client = 2; client <= 3; client++) {
		query(client, 7, 1, 100);
		assert_int_equal(exchanges_pending(x), 1);
		assert_int_equal(answer(client, 7, 1), 100);
		assert_int_equal(exchanges_pending(x), 0);
		assert_int_equal(answer(client, 7, 1), 0);
	}
	assert_int_equal(ledger.queries_answered, 2);
	assert_int_equal(ledger.responses_matched, 2);
}

static void test_key(void **state)
{
	struct message m = make(7, 1, 1);
	struct flow flow = query_flow(2), response = flow_reversed(&flow), other;
	struct exchange_query q;

	(void)state;
	m.dns.qname = m.bytes;
	query(2, 7, 1, 100);
	assert_int_equal(answer(2, 8, 1), 0);
	assert_false(exchanges_response(x, &flow, &m.dns, 200, &q)); /* the query's direction */
	for (size_t i = 0; i < sizeof(other); i++) {
		other = response;
		((uint8_t *)&other)[i] ^= 0x80;
		assert_false(exchanges_response(x, &other, &m.dns, 200, &q));
	}
	assert_int_equal(answer(2, 7, 2), 0);
	assert_int_equal(respond(2, make(7, 1, 28), 0), 0);
	assert_int_equal(answer(2, 7, 1), 100);
}

static void test_case_does_not_matter(void **state)
{
	struct message m = make(7, 1, 1);

	(void)state;
	memcpy(m.bytes, "\4N001\7eXAmPlE", 13);
	send_query(2, m, 100);
	assert_int_equal(answer(2, 7, 1), 100);
	query(2, 7, 1, 200);
	assert_int_equal(respond(2, m, 0), 200);
}

static void test_id_used_again_for_another_question(void **state)
{
	(void)state;
	query(2, 7, 1, 100);
	query(2, 7, 2, 200);
	query(2, 7, 3, 300);
	assert_int_equal(answer(2, 7, 2), 200);
	assert_int_equal(answer(2, 7, 3), 300);
	assert_int_equal(answer(2, 7, 1), 100);
	assert_int_equal(ledger.queries_answered, 3);
}

static void test_retries(void **state)
{
	(void)state;
	query(2, 7, 1, 100);
	query(2, 7, 1, 200);
	query(2, 7, 1, 300);
	query(2, 7, 2, 350);
	assert_int_equal(answer(2, 7, 1), 100);
	query(2, 7, 1, 400); /* after the answer: a new query */
	exchanges_expire(x, 400 + TIMEOUT);
	assert_int_equal(ledger.queries_answered, 1);
	assert_int_equal(ledger.queries_retried, 2);
	assert_int_equal(ledger.queries_unanswered, 2);
	assert_balance();
}

static void test_retries_that_are_answered_too(void **state)
{
	(void)state;
	query(2, 7, 1, 100);
	query(2, 7, 1, 200);
	query(2, 7, 1, 300);
	assert_int_equal(answer(2, 7, 1), 100);
	assert_int_equal(answer(2, 7, 1), 200);
	exchanges_drain(x);
	assert_int_equal(ledger.queries_answered, 2);
	assert_int_equal(ledger.queries_retried, 1);
	assert_int_equal(ledger.queries_unanswered, 0);
}

static void test_response_without_question_by_rcode(void **state)
{
	(void)state;
	for (uint8_t rcode = 0; rcode < 16; rcode++) {
		bool may = rcode == DNS_RCODE_FORMERR || rcode == DNS_RCODE_SERVFAIL ||
			rcode == DNS_RCODE_NOTIMP || rcode == DNS_RCODE_REFUSED;

		query(2, rcode, 1, 100);
		query(2, rcode, 2, 200);
		assert_int_equal(respond(2, make(rcode, 3, 1), rcode), 0);
		assert_int_equal(respond(2, make(rcode, NO_QUESTION, 0), rcode), may ? 100 : 0);
	}
	assert_int_equal(ledger.queries_answered, 4);
}

static void test_response_without_question_to_update(void **state)
{
	struct message m = make(7, NO_QUESTION, 0);

	(void)state;
	query(2, 7, 1, 100);
	m.dns.opcode = DNS_OPCODE_UPDATE;
	assert_int_equal(respond(2, m, 0), 100);
}

static void test_query_without_question(void **state)
{
	(void)state;
	query(2, 7, 1, 100);
	query(2, 7, NO_QUESTION, 200);
	assert_int_equal(respond(2, make(7, NO_QUESTION, 0), DNS_RCODE_REFUSED), 200);
	query(2, 7, NO_QUESTION, 300);
	assert_int_equal(respond(2, make(7, NO_QUESTION, 0), 0), 300);
	query(2, 7, NO_QUESTION, 400);
	assert_int_equal(answer(2, 7, 2), 0);
	assert_int_equal(answer(2, 7, 1), 100);
}

static void test_expiry(void **state)
{
	(void)state;
	assert_true(exchanges_next_expiry(x) == UINT64_MAX);
	query(2, 7, 1, 1000);
	query(3, 7, 1, 2000);
	assert_true(exchanges_next_expiry(x) == 1000 + TIMEOUT);
	exchanges_expire(x, 1000 + TIMEOUT - 1);
	assert_int_equal(exchanges_pending(x), 2);
	exchanges_expire(x, 1000 + TIMEOUT);
	assert_int_equal(exchanges_pending(x), 1);
	assert_true(exchanges_next_expiry(x) == 2000 + TIMEOUT);
	assert_int_equal(answer(2, 7, 1), 0);
	exchanges_expire(x, UINT64_MAX);
	assert_int_equal(ledger.queries_unanswered, 2);
}

static void test_clock_that_goes_back(void **state)
{
	uint64_t far = 1000 * NS_PER_SECOND, time;

	(void)state;
	query(2, 7, 1, far);
	exchanges_expire(x, far - 1);
	exchanges_expire(x, 0);
	assert_int_equal(exchanges_pending(x), 1);
	query(4, 7, 1, far - 1000);
	assert_true(respond_at(4, make(7, 1, 1), far - 2000, 0, &time));
	assert_true(time == far - 1000);
	exchanges_expire(x, far + TIMEOUT - 1);
	assert_int_equal(exchanges_pending(x), 1);
	query(2, 9, 1, UINT64_MAX - 5); /* the sum with the timeout does not wrap */
	exchanges_expire(x, far + TIMEOUT);
	assert_int_equal(exchanges_pending(x), 1);
	exchanges_expire(x, UINT64_MAX - 1);
	assert_int_equal(exchanges_pending(x), 1);
}

static void test_full_gives_up_the_oldest(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		query(2 * i, 7, 1, 100 + i);
	query(5000, 7, 1, 2000);
	query(5003, 7, 1, 2001);
	assert_int_equal(exchanges_pending(x), 1000);
	assert_int_equal(ledger.queries_evicted, 2);
	assert_int_equal(answer(0, 7, 1), 0);
	assert_int_equal(answer(2, 7, 1), 0);
	assert_int_equal(answer(4, 7, 1), 102);
	assert_int_equal(answer(5000, 7, 1), 2000);
}

static void test_one_key_is_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i <= EXCHANGES_PENDING_PER_KEY; i++)
		query(2, 7, (int)i, 100 + i);
	assert_int_equal(exchanges_pending(x), EXCHANGES_PENDING_PER_KEY);
	assert_int_equal(ledger.queries_evicted, 1);
	assert_int_equal(answer(2, 7, 0), 0);
	assert_int_equal(answer(2, 7, 1), 101);
	assert_int_equal(answer(2, 7, EXCHANGES_PENDING_PER_KEY), 100 + EXCHANGES_PENDING_PER_KEY);
}

static void test_bounds_of_new(void **state)
{
	(void)state;
	assert_null(exchanges_new(0, TIMEOUT, &ledger));
	assert_null(exchanges_new(EXCHANGES_MAX_QUERIES_MAX + 1, TIMEOUT, &ledger));
	exchanges_free(NULL);
	exchanges_free(x);
	x = exchanges_new(1, TIMEOUT, &ledger);
	query(3, 7, 1, 100);
	query(5, 7, 1, 200);
	assert_int_equal(answer(3, 7, 1), 0);
	assert_int_equal(answer(5, 7, 1), 200);
}

static void test_expects(void **state)
{
	struct flow udp = query_flow(2), tcp = query_flow(3), back = flow_reversed(&udp);

	(void)state;
	assert_false(exchanges_expects(x, &udp, 7));
	query(2, 7, 1, 100);
	query(2, 7, 1, 200);
	assert_true(exchanges_expects(x, &udp, 7));
	assert_false(exchanges_expects(x, &udp, 8));
	assert_false(exchanges_expects(x, &back, 7));
	assert_int_equal(answer(2, 7, 1), 100);
	assert_true(exchanges_expects(x, &udp, 7));
	assert_int_equal(answer(2, 7, 1), 200);
	assert_false(exchanges_expects(x, &udp, 7));
	send_query(3, make(7, 1, DNS_TYPE_AXFR), 300);
	assert_int_equal(respond(3, make(7, 1, DNS_TYPE_AXFR), 0), 300);
	assert_true(exchanges_expects(x, &tcp, 7));
}

static void test_connection_end(void **state)
{
	struct flow flow = query_flow(3), back = flow_reversed(&flow);

	(void)state;
	for (int direction = 0; direction < 2; direction++) {
		for (uint16_t id = 0; id < 300; id++)
			query(3, id, 1, 100 + id);
		query(3, 1, 1, 900);
		query(5, 7, 1, 950);
		assert_int_equal(answer(3, 1, 1), 101);
		assert_int_equal(answer(3, 299, 1), 100 + 299);
		exchanges_connection_end(x, direction ? &back : &flow);
		assert_int_equal(exchanges_pending(x), 1);
		assert_int_equal(ledger.queries_unanswered, 298 * (direction + 1));
		assert_int_equal(ledger.queries_retried, direction + 1);
		assert_int_equal(answer(3, 7, 1), 0);
		assert_int_equal(answer(5, 7, 1), 950);
		exchanges_connection_end(x, &flow);
	}
}

static void test_connection_end_leaves_udp(void **state)
{
	struct flow flow = query_flow(2);

	(void)state;
	query(2, 7, 1, 100);
	exchanges_connection_end(x, &flow);
	assert_int_equal(answer(2, 7, 1), 100);
}

/* Anything in any order on few keys: send_query and respond_at assert that the ledger balances. */
static void test_random_operations(void **state)
{
	unsigned seed = 1;
	uint64_t now = NS_PER_SECOND, time;

	(void)state;
	exchanges_free(x);
	x = exchanges_new(50, TIMEOUT, &ledger);
	for (int round = 0; round < 300000; round++) {
		unsigned client = (unsigned)rand_r(&seed) % 8;
		uint16_t type = rand_r(&seed) % 4 ? 1 : DNS_TYPE_AXFR;
		struct message m = make((uint16_t)(rand_r(&seed) % 3), rand_r(&seed) % 4 - 1, type);
		struct flow flow = query_flow(client);

		switch (rand_r(&seed) % 16) {
		case 0:
			exchanges_expire(x, now - TIMEOUT / 2);
			exchanges_expire(x, now);
			assert_true(exchanges_next_expiry(x) > now);
			break;
		case 1:
			exchanges_connection_end(x, &flow);
			break;
		case 2:
		case 3:
		case 4:
		case 5:
		case 6:
		case 7:
			respond_at(client, m, now, (uint8_t)(rand_r(&seed) % 6), &time);
			break;
		default:
			send_query(client, m, now - (unsigned)rand_r(&seed) % NS_PER_MS);
		}
		now += (unsigned)rand_r(&seed) % (2 * NS_PER_SECOND);
		assert_balance();
	}
	assert_true(ledger.queries_answered && ledger.queries_unanswered &&
		ledger.queries_retried && ledger.queries_evicted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pair),
		TEST(test_key),
		TEST(test_case_does_not_matter),
		TEST(test_id_used_again_for_another_question),
		TEST(test_retries),
		TEST(test_retries_that_are_answered_too),
		TEST(test_response_without_question_by_rcode),
		TEST(test_response_without_question_to_update),
		TEST(test_query_without_question),
		TEST(test_expiry),
		TEST(test_clock_that_goes_back),
		TEST(test_full_gives_up_the_oldest),
		TEST(test_one_key_is_bounded),
		TEST(test_bounds_of_new),
		TEST(test_expects),
		TEST(test_connection_end),
		TEST(test_connection_end_leaves_udp),
		TEST(test_random_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
