/* SPDX-License-Identifier: BSD-2-Clause */
/* IP, UDP and TCP headers: what is ours, what is not, and lengths that contradict each other. */
#include "wire_packet_built.h"

static void test_udp(void **state)
{
	(void)state;
	begin(IP4);
	add_ipv4(0);
	add_udp(PAYLOAD);
	assert_datagram(FAMILY_IPV4);
	begin(IP4);
	add_ipv4(40);
	add_udp(PAYLOAD);
	assert_datagram(FAMILY_IPV4);
	begin(IP6);
	add_ipv6();
	add_udp(PAYLOAD);
	assert_datagram(FAMILY_IPV6);
}

static void test_udp_without_payload(void **state)
{
	struct packet p;

	(void)state;
	begin(IP4);
	add_ipv4(0);
	add_udp(0);
	assert_int_equal(parse(&p), PACKET_OK);
	assert_payload(&p, b.len, 0);
}

static void test_tcp(void **state)
{
	struct packet p;

	(void)state;
	for (uint32_t options = 0; options <= 40; options += 4) {
		begin(options & 4 ? IP4 : IP6);
		if (options & 4)
			add_ipv4(options);
		else
			add_ipv6();
		add_tcp(options, PAYLOAD);
		assert_int_equal(parse(&p), PACKET_OK);
		assert_int_equal(p.kind, PACKET_SEGMENT);
		assert_flow(&p, options & 4 ? FAMILY_IPV4 : FAMILY_IPV6, IPPROTO_TCP);
		assert_payload(&p, b.l4 + 20 + options, PAYLOAD);
		assert_int_equal(p.seq, 0xfffffff0);
		assert_int_equal(p.ack, 0x80000001);
		assert_int_equal(p.tcp_flags, TCP_ACK | TCP_FIN);
	}
}

static void test_tcp_bad_offset(void **state)
{
	(void)state;
	begin(IP4);
	add_ipv4(0);
	add_tcp(0, 8);
	b.bytes[b.l4 + 12] = 4 << 4;
	assert_result(PACKET_MALFORMED);
	b.bytes[b.l4 + 12] = 7 << 4;
	assert_result(PACKET_OK);
	b.bytes[b.l4 + 12] = 8 << 4;
	assert_result(PACKET_MALFORMED);
}

static void test_padding_is_cut(void **state)
{
	struct packet p;

	(void)state;
	for (int family = FAMILY_IPV4; family <= FAMILY_IPV6; family += 2) {
		begin(family == FAMILY_IPV4 ? IP4 : IP6);
		if (family == FAMILY_IPV4)
			add_ipv4(0);
		else
			add_ipv6();
		add_tcp(0, 0);
		append(6);
		assert_int_equal(parse(&p), PACKET_OK);
		assert_int_equal(p.payload_len, 0);
		assert_int_equal(p.payload_have, 0);
	}
}

static void test_ip_longer_than_wire(void **state)
{
	(void)state;
	begin(IP4);
	add_ipv4(0);
	add_udp(PAYLOAD);
	put16(2, b.len + 1);
	assert_result(PACKET_MALFORMED);
	put16(2, 19);
	assert_result(PACKET_MALFORMED);
	put16(2, 0);
	assert_result(PACKET_MALFORMED);
	begin(IP6);
	add_ipv6();
	add_udp(PAYLOAD);
	put16(4, b.len - 40 + 1);
	assert_result(PACKET_MALFORMED);
	put16(4, 0);
	assert_result(PACKET_MALFORMED);
	begin(IP6);
	add_ipv6();
	set_next(NO_NEXT, 0);
	assert_result(PACKET_OTHER);
}

static void test_ip_version_and_header_length(void **state)
{
	(void)state;
	begin(IP4);
	add_ipv4(0);
	add_udp(PAYLOAD);
	b.bytes[0] = 0x44;
	put16(b.l4, 20); /* would be a fitting UDP length, were the header of 16 bytes allowed */
	assert_result(PACKET_MALFORMED);
	b.bytes[0] = 0x4f;
	put16(2, 59);
	assert_result(PACKET_MALFORMED);
	b.bytes[0] = 0x65;
	assert_result(PACKET_MALFORMED);
	b.ethertype = IP6;
	b.bytes[0] = 0x45;
	assert_result(PACKET_MALFORMED);
}

static void test_udp_length(void **state)
{
	struct packet p;

	(void)state;
	begin(IP4);
	add_ipv4(0);
	add_udp(PAYLOAD);
	for (uint32_t len = 0; len < 8; len++) {
		put16(b.l4 + 4, len);
		assert_result(PACKET_MALFORMED);
	}
	for (uint32_t len = 8; len <= 8 + PAYLOAD; len++) {
		put16(b.l4 + 4, len);
		assert_int_equal(parse(&p), PACKET_OK);
		assert_payload(&p, b.l4 + 8, len - 8);
	}
	put16(b.l4 + 4, 8 + PAYLOAD + 1);
	assert_result(PACKET_MALFORMED);
}

static void test_super_packets(void **state)
{
	struct packet p;

	(void)state;
	begin(IP4);
	add_ipv4(0);
	add_udp(3000);
	b.gso_size = 1000;
	assert_int_equal(parse(&p), PACKET_OK);
	assert_int_equal(p.gso_size, 1000);
	assert_payload(&p, b.l4 + 8, 3000);
	put16(2, 0);
	put16(b.l4 + 4, 0);
	assert_int_equal(parse(&p), PACKET_OK);
	assert_payload(&p, b.l4 + 8, 3000);
	begin(IP6);
	add_ipv6();
	add_tcp(12, 60000);
	put16(4, 0);
	b.gso_size = 1400;
	assert_int_equal(parse(&p), PACKET_OK);
	assert_payload(&p, b.l4 + 32, 60000);
}

static void test_jumbogram(void **state)
{
	struct packet p;

	(void)state;
	begin(IP6);
	add_ipv6();
	add_extension(IPPROTO_HOPOPTS, 0);
	memcpy(b.bytes + 42, "\xc2\x04\x00\x01\x0f\x00", 6);
	add_udp(69000);
	put16(4, 0);
	put16(b.l4 + 4, 0);
	assert_int_equal(parse(&p), PACKET_OK);
	assert_payload(&p, b.l4 + 8, 69000);
}

static void test_not_for_us(void **state)
{
	static const uint8_t protocols[] = {IPPROTO_ICMP, IPPROTO_ESP, IPPROTO_ICMPV6, NO_NEXT,
		IPPROTO_SCTP, IPPROTO_GRE, 253, 255};

	(void)state;
	for (size_t i = 0; i < sizeof(protocols); i++) {
		begin(IP4);
		add_ipv4(0);
		add_udp(PAYLOAD);
		b.bytes[9] = protocols[i];
		assert_result(PACKET_OTHER);
		begin(IP6);
		add_ipv6();
		add_extension(IPPROTO_DSTOPTS, 0);
		add_udp(PAYLOAD);
		b.bytes[40] = protocols[i];
		assert_result(PACKET_OTHER);
	}
	b.ethertype = 0x0806;
	assert_result(PACKET_OTHER);
	b.ethertype = 0;
	assert_result(PACKET_OTHER);
	/* Extension headers other than AH do not exist in IPv4. */
	begin(IP4);
	add_ipv4(0);
	add_extension(IPPROTO_DSTOPTS, 0);
	add_udp(PAYLOAD);
	assert_result(PACKET_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_udp_without_payload),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_tcp_bad_offset),
		cmocka_unit_test(test_padding_is_cut),
		cmocka_unit_test(test_ip_longer_than_wire),
		cmocka_unit_test(test_ip_version_and_header_length),
		cmocka_unit_test(test_udp_length),
		cmocka_unit_test(test_super_packets),
		cmocka_unit_test(test_jumbogram),
		cmocka_unit_test(test_not_for_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
