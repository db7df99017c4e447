/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies at other taps are known, what a sender sends again is not one. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/duplicates.h"

#define MS 1000000ULL

enum { PARENT = 2, CHILD = 4, THIRD = 6 };

static struct packet datagram(const char *payload)
{
	struct packet p = {
		.kind = PACKET_DATAGRAM,
		.flow = {.src = {198, 51, 100, 1},
			.dst = {198, 51, 100, 2},
			.src_port = 40000,
			.dst_port = 53,
			.family = FAMILY_IPV4,
			.protocol = IPPROTO_UDP},
		.payload = (const uint8_t *)payload,
		.payload_have = (uint32_t)strlen(payload),
		.payload_len = (uint32_t)strlen(payload),
	};

	return p;
}

static void test_parent_and_child(void **state)
{
	struct duplicates *d = duplicates_new();
	struct packet p = datagram("query");

	assert_false(duplicates_is_copy(d, &p, PARENT, 1000 * MS));
	assert_true(duplicates_is_copy(d, &p, CHILD, 1000 * MS + 5));
	assert_true(duplicates_is_copy(d, &p, THIRD, 1001 * MS));
	duplicates_free(d);
	(void)state;
}

static void test_retransmissions(void **state)
{
	struct duplicates *d = duplicates_new();
	struct packet p = datagram("query");

	for (uint64_t i = 0; i < 10; i++) {
		assert_false(duplicates_is_copy(d, &p, PARENT, (1000 + 10 * i) * MS));
		assert_true(duplicates_is_copy(d, &p, CHILD, (1000 + 10 * i) * MS + 1));
	}
	/* Long after, at the other tap first: the path has changed, it is a new packet. */
	assert_false(duplicates_is_copy(d, &p, CHILD, 5000 * MS));
	assert_true(duplicates_is_copy(d, &p, PARENT, 5000 * MS + 1));
	duplicates_free(d);
	(void)state;
}

/* Two CPUs' records may come out of the rings a little out of order. */
static void test_slightly_out_of_order(void **state)
{
	struct duplicates *d = duplicates_new();
	struct packet p = datagram("query");

	assert_false(duplicates_is_copy(d, &p, CHILD, 1000 * MS + 300));
	assert_true(duplicates_is_copy(d, &p, PARENT, 1000 * MS));
	duplicates_free(d);
	(void)state;
}

static void test_what_tells_packets_apart(void **state)
{
	struct duplicates *d = duplicates_new();
	struct packet p = datagram("query"), other = datagram("querY"), port = p, segment = p;
	struct packet later;

	port.flow.src_port = 40001;
	segment.kind = PACKET_SEGMENT;
	segment.flow.protocol = IPPROTO_TCP;
	segment.seq = 1;
	later = segment;
	later.seq = 2;
	assert_false(duplicates_is_copy(d, &p, PARENT, MS));
	assert_false(duplicates_is_copy(d, &other, CHILD, MS));
	assert_false(duplicates_is_copy(d, &port, CHILD, MS));
	assert_false(duplicates_is_copy(d, &segment, CHILD, MS));
	assert_false(duplicates_is_copy(d, &later, PARENT, MS));
	assert_true(duplicates_is_copy(d, &later, CHILD, MS));
	duplicates_free(d);
	(void)state;
}

/* More than it remembers: copies may be missed, never invented. */
static void test_bounded(void **state)
{
	struct duplicates *d = duplicates_new();
	uint32_t number;
	struct packet p = datagram("four");

	p.payload = (const uint8_t *)&number;
	for (number = 0; number < 3 * DUPLICATES_MAX; number++)
		assert_false(duplicates_is_copy(d, &p, PARENT, MS));
	number = 3 * DUPLICATES_MAX - 1;
	assert_true(duplicates_is_copy(d, &p, CHILD, MS));
	number = 0;
	assert_false(duplicates_is_copy(d, &p, CHILD, MS));
	duplicates_free(d);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parent_and_child),
		cmocka_unit_test(test_retransmissions),
		cmocka_unit_test(test_slightly_out_of_order),
		cmocka_unit_test(test_what_tells_packets_apart),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
