/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "wire/packet.h"

enum { IP4 = 0x0800, IP6 = 0x86dd, TAG = 0x8100, QINQ = 0x88a8, NO_NEXT = 59 };
enum { PAYLOAD = 30, ROOM = 70000 };

/* A packet is built front to back; lengths and next headers are filled in when they are known. */
struct built {
	uint8_t bytes[ROOM];
	uint32_t len;
	uint32_t ip;        /* where the IP header starts */
	uint32_t next_at;   /* where the last next-header field is */
	uint32_t l4;
	uint16_t ethertype, gso_size;
};

static struct built b;

static uint8_t *append(uint32_t len)
{
	uint8_t *at = b.bytes + b.len;

	memset(at, 0, len);
	b.len += len;
	return at;
}

static void put16(uint32_t at, uint32_t value)
{
	b.bytes[at] = (uint8_t)(value >> 8);
	b.bytes[at + 1] = (uint8_t)value;
}

static void put32(uint32_t at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static void begin(uint16_t ethertype)
{
	b.len = b.ip = 0;
	b.ethertype = ethertype;
	b.gso_size = 0;
}

static void add_tag(uint16_t tci, uint16_t ethertype)
{
	append(4);
	put16(b.len - 4, tci);
	put16(b.len - 2, ethertype);
}

static void add_ipv4(uint32_t options)
{
	uint8_t *ip = append(20 + options);

	b.ip = b.len - 20 - options;
	b.next_at = b.ip + 9;
	ip[0] = (uint8_t)(0x40 | (20 + options) / 4);
	ip[8] = 64;
	memcpy(ip + 12, "\xc6\x33\x64\x01\xcb\x00\x71\x35", 8);
	memset(ip + 20, 1, options);
}

static void add_ipv6(void)
{
	uint8_t *ip = append(40);

	b.ip = b.len - 40;
	b.next_at = b.ip + 6;
	ip[0] = 0x60;
	memcpy(ip + 8, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	memcpy(ip + 24, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x35", 16);
}

static void set_next(uint8_t next, uint32_t header)
{
	b.bytes[b.next_at] = next;
	b.next_at = header;
}

static void add_extension(uint8_t type, uint8_t len_field)
{
	uint32_t len = type == IPPROTO_AH ? (len_field + 2U) * 4 : (len_field + 1U) * 8;
	uint8_t *at = append(type == IPPROTO_FRAGMENT ? 8 : len);

	set_next(type, (uint32_t)(at - b.bytes));
	at[1] = type == IPPROTO_FRAGMENT ? 0 : len_field;
}

static void add_payload(uint32_t len)
{
	uint8_t *at = append(len);

	for (uint32_t i = 0; i < len; i++)
		at[i] = (uint8_t)(i * 7 + 1);
}

static void set_ip_len(void)
{
	if (b.bytes[b.ip] >> 4 == 4)
		put16(b.ip + 2, b.len - b.ip);
	else
		put16(b.ip + 4, b.len - b.ip - 40);
}

static void add_udp(uint32_t payload)
{
	b.l4 = b.len;
	set_next(IPPROTO_UDP, b.l4);
	append(8);
	put16(b.l4, 40053);
	put16(b.l4 + 2, 53);
	put16(b.l4 + 4, 8 + payload);
	add_payload(payload);
	set_ip_len();
}

static void add_tcp(uint32_t options, uint32_t payload)
{
	b.l4 = b.len;
	set_next(IPPROTO_TCP, b.l4);
	append(20 + options);
	put16(b.l4, 40053);
	put16(b.l4 + 2, 53);
	put32(b.l4 + 4, 0xfffffff0);
	put32(b.l4 + 8, 0x80000001);
	b.bytes[b.l4 + 12] = (uint8_t)((20 + options) / 4 << 4);
	b.bytes[b.l4 + 13] = TCP_ACK | TCP_FIN;
	add_payload(payload);
	set_ip_len();
}

/* Parses a copy of exactly `have` bytes, so that ASan sees a read behind them. */
static enum packet_result parse_part(uint32_t have, uint32_t wire, struct packet *ret)
{
	struct packet_source source = {have, wire, b.ethertype, b.gso_size};
	uint8_t *copy = malloc(have ? have : 1);
	enum packet_result result;
	uintptr_t start;

	assert_non_null(copy);
	memcpy(copy, b.bytes, have);
	start = (uintptr_t)copy;
	memset(ret, 0xa5, sizeof(*ret));
	result = packet_parse(have ? copy : copy + 1, &source, ret);
	if (result == PACKET_OK) {
		/* The result points into the bytes: move the pointer to those that stay. */
		uintptr_t offset = (uintptr_t)ret->payload - start;

		assert_true(offset <= have);
		assert_true(ret->payload_have <= have - offset);
		assert_true(ret->payload_have <= ret->payload_len);
		ret->payload = b.bytes + offset;
	}
	free(copy);
	return result;
}

static enum packet_result parse(struct packet *ret)
{
	return parse_part(b.len, b.len, ret);
}

static void assert_flow(const struct packet *p, uint8_t family, uint8_t protocol)
{
	struct flow want;

	memset(&want, 0, sizeof(want));
	want.family = family;
	want.protocol = protocol;
	if (family == FAMILY_IPV4) {
		memcpy(want.src, "\xc6\x33\x64\x01", 4);
		memcpy(want.dst, "\xcb\x00\x71\x35", 4);
	} else {
		memcpy(want.src, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
		memcpy(want.dst, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x35", 16);
	}
	if (protocol) {
		want.src_port = 40053;
		want.dst_port = 53;
	}
	assert_memory_equal(&p->flow, &want, sizeof(want));
}

static void assert_payload(const struct packet *p, uint32_t at, uint32_t len)
{
	assert_ptr_equal(p->payload, b.bytes + at);
	assert_int_equal(p->payload_len, len);
	assert_int_equal(p->payload_have, len);
}

static void assert_datagram(uint8_t family)
{
	struct packet p;

	assert_int_equal(parse(&p), PACKET_OK);
	assert_int_equal(p.kind, PACKET_DATAGRAM);
	assert_flow(&p, family, IPPROTO_UDP);
	assert_payload(&p, b.l4 + 8, PAYLOAD);
}

static void assert_result(enum packet_result want)
{
	struct packet p;

	assert_int_equal(parse(&p), want);
}

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
