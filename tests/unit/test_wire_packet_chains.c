/* SPDX-License-Identifier: BSD-2-Clause */
/* Chains of extension headers, fragments, tags, and packets cut or damaged anywhere. */
#include "wire_packet_built.h"

static const uint8_t extensions[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_AH,
	IPPROTO_FRAGMENT, IPPROTO_MH, 139, 140};
enum { EXTENSIONS = sizeof(extensions) };

/* Every chain of up to three extension headers, each with several lengths. */
static void test_all_chains(void **state)
{
	static const uint8_t lens[] = {0, 1, 4};

	(void)state;
	for (unsigned chain = 0; chain < EXTENSIONS * EXTENSIONS * EXTENSIONS * 3; chain++) {
		unsigned rest = chain / 3;

		begin(IP6);
		add_ipv6();
		for (unsigned i = 0; i < 3; i++, rest /= EXTENSIONS)
			add_extension(extensions[rest % EXTENSIONS], lens[(chain + i) % 3]);
		add_udp(PAYLOAD);
		assert_datagram(FAMILY_IPV6);
	}
}

static void test_chain_is_bounded(void **state)
{
	struct packet p;

	(void)state;
	for (unsigned n = 1; n <= PACKET_EXTENSIONS_MAX + 1; n++) {
		begin(IP6);
		add_ipv6();
		for (unsigned i = 0; i < n; i++)
			add_extension(IPPROTO_DSTOPTS, 0);
		add_tcp(0, 4);
		assert_int_equal(
			parse(&p), n <= PACKET_EXTENSIONS_MAX ? PACKET_OK : PACKET_OTHER);
	}
}

static void test_ah_in_ipv4(void **state)
{
	(void)state;
	begin(IP4);
	add_ipv4(0);
	add_extension(IPPROTO_AH, 4);
	add_udp(PAYLOAD);
	assert_datagram(FAMILY_IPV4);
}

static void test_extension_longer_than_packet(void **state)
{
	(void)state;
	begin(IP6);
	add_ipv6();
	add_extension(IPPROTO_DSTOPTS, 0);
	add_udp(PAYLOAD);
	b.bytes[41] = 255;
	assert_result(PACKET_MALFORMED);
}

static void test_ipv4_fragments(void **state)
{
	static const struct {
		uint16_t field, offset;
		bool more;
	} cases[] = {
		{0x2000, 0, true}, {0x2001, 8, true}, {0x00b9, 1480, false}, {0x3fff, 65528, true}};
	struct packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(IP4);
		add_ipv4(4);
		add_udp(PAYLOAD);
		put16(4, 0xbeef);
		put16(6, cases[i].field);
		assert_int_equal(parse(&p), PACKET_OK);
		assert_int_equal(p.kind, PACKET_FRAGMENT);
		assert_flow(&p, FAMILY_IPV4, 0);
		assert_payload(&p, 24, 8 + PAYLOAD);
		assert_int_equal(p.fragment_id, 0xbeef);
		assert_int_equal(p.fragment_offset, cases[i].offset);
		assert_int_equal(p.fragment_more, cases[i].more);
		assert_int_equal(p.fragment_next, IPPROTO_UDP);
	}
	put16(6, 0x4000); /* don't fragment */
	assert_int_equal(parse(&p), PACKET_OK);
	assert_int_equal(p.kind, PACKET_DATAGRAM);
}

static void test_ipv6_fragments(void **state)
{
	static const struct {
		uint16_t field, offset;
		bool more;
	} cases[] = {
		{0x0001, 0, true}, {0x0009, 8, true}, {0x05c8, 1480, false},
		{0xfffe, 65528, false}};
	struct packet p;
	uint32_t at;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(IP6);
		add_ipv6();
		add_extension(IPPROTO_HOPOPTS, 1);
		at = b.len;
		add_extension(IPPROTO_FRAGMENT, 0);
		put16(at + 2, cases[i].field);
		put32(at + 4, 0xdeadbeef);
		add_extension(IPPROTO_DSTOPTS, 0);
		add_udp(PAYLOAD);
		assert_int_equal(parse(&p), PACKET_OK);
		assert_int_equal(p.kind, PACKET_FRAGMENT);
		assert_flow(&p, FAMILY_IPV6, 0);
		assert_payload(&p, at + 8, 8 + 8 + PAYLOAD);
		assert_int_equal(p.fragment_id, 0xdeadbeef);
		assert_int_equal(p.fragment_offset, cases[i].offset);
		assert_int_equal(p.fragment_more, cases[i].more);
		assert_int_equal(p.fragment_next, IPPROTO_DSTOPTS);
	}
	put16(at + 2, 0x0006); /* reserved bits alone: atomic */
	assert_datagram(FAMILY_IPV6);
}

static void test_reassembled_payload(void **state)
{
	struct packet p;
	uint32_t at;

	(void)state;
	begin(IP6);
	add_ipv6();
	at = b.len;
	add_extension(IPPROTO_FRAGMENT, 0);
	put16(at + 2, 1);
	add_extension(IPPROTO_DSTOPTS, 0);
	add_udp(PAYLOAD);
	assert_int_equal(parse(&p), PACKET_OK);
	assert_int_equal(
		packet_parse_payload(p.fragment_next, b.bytes + at + 8, b.len - at - 8, &p),
		PACKET_OK);
	assert_int_equal(p.kind, PACKET_DATAGRAM);
	assert_flow(&p, FAMILY_IPV6, IPPROTO_UDP);
	assert_payload(&p, b.l4 + 8, PAYLOAD);
	/* A fragment inside of what was put together, and a length that is not there. */
	assert_int_equal(packet_parse_payload(IPPROTO_FRAGMENT, b.bytes + at, b.len - at, &p),
		PACKET_MALFORMED);
	assert_int_equal(packet_parse_payload(IPPROTO_UDP, b.bytes + b.l4, 8 + PAYLOAD - 1, &p),
		PACKET_MALFORMED);
	assert_int_equal(packet_parse_payload(NO_NEXT, b.bytes + b.l4, 8, &p), PACKET_OTHER);
}

static void add_udp_over(int family)
{
	if (family == FAMILY_IPV4)
		add_ipv4(0);
	else
		add_ipv6();
	add_udp(PAYLOAD);
}

static void test_tags(void **state)
{
	struct packet p;

	(void)state;
	for (int family = FAMILY_IPV4; family <= FAMILY_IPV6; family += 2) {
		uint16_t inner = family == FAMILY_IPV4 ? IP4 : IP6;

		begin(TAG);
		add_tag(0x2064, inner);
		add_udp_over(family);
		assert_datagram((uint8_t)family);
		assert_int_equal(parse(&p), PACKET_OK);
		assert_int_equal(p.tag_count, 1);
		assert_int_equal(p.tags[0], 100);

		begin(QINQ);
		add_tag(0xefff, TAG);
		add_tag(0x0001, inner);
		add_udp_over(family);
		assert_datagram((uint8_t)family);
		assert_int_equal(parse(&p), PACKET_OK);
		assert_int_equal(p.tag_count, 2);
		assert_int_equal(p.tags[0], 4095);
		assert_int_equal(p.tags[1], 1);

		begin(QINQ);
		add_tag(1, TAG);
		add_tag(2, TAG);
		add_tag(3, inner);
		add_udp_over(family);
		assert_result(PACKET_OTHER);
	}
}

static void test_tag_named_but_ip_at_hand(void **state)
{
	struct packet p;

	(void)state;
	for (int family = FAMILY_IPV4; family <= FAMILY_IPV6; family += 2) {
		begin(family == FAMILY_IPV4 ? TAG : QINQ);
		add_udp_over(family);
		append(6);
		assert_datagram((uint8_t)family);
		assert_int_equal(parse(&p), PACKET_OK);
		assert_int_equal(p.tag_count, 0);
	}
}

/* TCIs whose first byte looks like an IP version: only the lengths tell. */
static void test_tag_that_looks_like_ip(void **state)
{
	struct packet p;

	(void)state;
	for (unsigned tci = 0; tci <= 0xffff; tci += 0x33) {
		begin(TAG);
		add_tag((uint16_t)tci, tci & 1 ? IP4 : IP6);
		add_udp_over(tci & 1 ? FAMILY_IPV4 : FAMILY_IPV6);
		assert_int_equal(parse(&p), PACKET_OK);
		assert_int_equal(p.tag_count, 1);
		assert_int_equal(p.tags[0], tci & 0xfff);
		assert_flow(&p, tci & 1 ? FAMILY_IPV4 : FAMILY_IPV6, IPPROTO_UDP);
	}
}

/* Something of everything, for the truncations. */
static void build_case(unsigned number)
{
	begin(number & 1 ? TAG : IP6);
	if (number & 1)
		add_tag(7, IP6);
	add_ipv6();
	if (number & 2)
		add_extension(IPPROTO_HOPOPTS, 2);
	if (number & 4)
		add_extension(IPPROTO_AH, 4);
	if (number & 8) {
		add_extension(IPPROTO_FRAGMENT, 0);
		put16(b.len - 6, number & 16 ? 1 : 0);
	}
	if (number & 32)
		add_tcp(12, PAYLOAD);
	else
		add_udp(PAYLOAD);
	if (number & 64)
		append(9);
}

static void build_case_ipv4(unsigned number)
{
	begin(number & 1 ? QINQ : IP4);
	if (number & 1) {
		add_tag(7, TAG);
		add_tag(8, IP4);
	}
	add_ipv4(number & 2 ? 12 : 0);
	if (number & 4)
		add_extension(IPPROTO_AH, 4);
	if (number & 8)
		put16(b.ip + 6, 0x2000);
	if (number & 32)
		add_tcp(12, PAYLOAD);
	else
		add_udp(PAYLOAD);
	if (number & 64)
		append(9);
}

static void truncate_everywhere(void)
{
	struct packet whole, p;

	assert_int_equal(parse(&whole), PACKET_OK);
	for (uint32_t have = 0; have < b.len; have++) {
		enum packet_result result = parse_part(have, b.len, &p);
		uint32_t start = (uint32_t)(whole.payload - b.bytes);

		/* Either all headers are here and the same, or it is truncated. */
		assert_int_equal(result, have >= start ? PACKET_OK : PACKET_TRUNCATED);
		if (result == PACKET_OK) {
			uint32_t left = have - start;

			assert_int_equal(p.payload_have,
				left < whole.payload_len ? left : whole.payload_len);
			p.payload_have = whole.payload_have;
			assert_memory_equal(&p, &whole, sizeof(p));
		}
		/* A packet that is really so short contradicts itself, but for lost padding. */
		result = parse_part(have, have, &p);
		if (result == PACKET_OK)
			assert_memory_equal(&p, &whole, sizeof(p));
		else
			assert_int_not_equal(result, PACKET_TRUNCATED);
	}
}

static void test_every_truncation(void **state)
{
	(void)state;
	for (unsigned number = 0; number < 128; number++) {
		build_case(number);
		truncate_everywhere();
		build_case_ipv4(number);
		truncate_everywhere();
	}
}

static void test_more_here_than_on_the_wire(void **state)
{
	struct packet p;

	(void)state;
	begin(IP4);
	add_ipv4(0);
	add_udp(PAYLOAD);
	assert_int_equal(parse_part(b.len, b.len - 1, &p), PACKET_MALFORMED);
	append(10);
	assert_int_equal(parse_part(b.len, b.len - 10, &p), PACKET_OK);
	assert_int_equal(p.payload_have, PAYLOAD);
}

/* Random damage to valid packets: parse_part asserts that the payload stays inside the bytes. */
static void test_random_damage(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		struct packet p;
		unsigned hits = (unsigned)rand_r(&seed) % 4 + 1;
		uint32_t have;

		if (round & 1)
			build_case(round >> 1 & 127);
		else
			build_case_ipv4(round >> 1 & 127);
		while (hits--)
			b.bytes[(unsigned)rand_r(&seed) % b.len] = (uint8_t)rand_r(&seed);
		if (round & 256)
			b.gso_size = 100;
		have = (unsigned)rand_r(&seed) % (b.len + 1);
		parse_part(have, round & 2 ? have : b.len, &p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_chains),
		cmocka_unit_test(test_chain_is_bounded),
		cmocka_unit_test(test_ah_in_ipv4),
		cmocka_unit_test(test_extension_longer_than_packet),
		cmocka_unit_test(test_ipv4_fragments),
		cmocka_unit_test(test_ipv6_fragments),
		cmocka_unit_test(test_reassembled_payload),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_tag_named_but_ip_at_hand),
		cmocka_unit_test(test_tag_that_looks_like_ip),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_more_here_than_on_the_wire),
		cmocka_unit_test(test_random_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
