/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of wire/packet share: a packet that is built header by header, and parsed from a
 * block of exactly its length, so that a sanitizer sees any byte read behind it.
 */
#ifndef WIRE_PACKET_BUILT_H
#define WIRE_PACKET_BUILT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
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

static inline uint8_t *append(uint32_t len)
{
	uint8_t *at = b.bytes + b.len;

	memset(at, 0, len);
	b.len += len;
	return at;
}

static inline void put16(uint32_t at, uint32_t value)
{
	b.bytes[at] = (uint8_t)(value >> 8);
	b.bytes[at + 1] = (uint8_t)value;
}

static inline void put32(uint32_t at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static inline void begin(uint16_t ethertype)
{
	b.len = b.ip = 0;
	b.ethertype = ethertype;
	b.gso_size = 0;
}

static inline void add_tag(uint16_t tci, uint16_t ethertype)
{
	append(4);
	put16(b.len - 4, tci);
	put16(b.len - 2, ethertype);
}

static inline void add_ipv4(uint32_t options)
{
	uint8_t *ip = append(20 + options);

	b.ip = b.len - 20 - options;
	b.next_at = b.ip + 9;
	ip[0] = (uint8_t)(0x40 | (20 + options) / 4);
	ip[8] = 64;
	memcpy(ip + 12, "\xc6\x33\x64\x01\xcb\x00\x71\x35", 8);
	memset(ip + 20, 1, options);
}

static inline void add_ipv6(void)
{
	uint8_t *ip = append(40);

	b.ip = b.len - 40;
	b.next_at = b.ip + 6;
	ip[0] = 0x60;
	memcpy(ip + 8, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
	memcpy(ip + 24, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x35", 16);
}

static inline void set_next(uint8_t next, uint32_t header)
{
	b.bytes[b.next_at] = next;
	b.next_at = header;
}

static inline void add_extension(uint8_t type, uint8_t len_field)
{
	uint32_t len = type == IPPROTO_AH ? (len_field + 2U) * 4 : (len_field + 1U) * 8;
	uint8_t *at = append(type == IPPROTO_FRAGMENT ? 8 : len);

	set_next(type, (uint32_t)(at - b.bytes));
	at[1] = type == IPPROTO_FRAGMENT ? 0 : len_field;
}

static inline void add_payload(uint32_t len)
{
	uint8_t *at = append(len);

	for (uint32_t i = 0; i < len; i++)
		at[i] = (uint8_t)(i * 7 + 1);
}

static inline void set_ip_len(void)
{
	if (b.bytes[b.ip] >> 4 == 4)
		put16(b.ip + 2, b.len - b.ip);
	else
		put16(b.ip + 4, b.len - b.ip - 40);
}

static inline void add_udp(uint32_t payload)
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

static inline void add_tcp(uint32_t options, uint32_t payload)
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
static inline enum packet_result parse_part(uint32_t have, uint32_t wire, struct packet *ret)
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

static inline enum packet_result parse(struct packet *ret)
{
	return parse_part(b.len, b.len, ret);
}

static inline void assert_flow(const struct packet *p, uint8_t family, uint8_t protocol)
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

static inline void assert_payload(const struct packet *p, uint32_t at, uint32_t len)
{
	assert_ptr_equal(p->payload, b.bytes + at);
	assert_int_equal(p->payload_len, len);
	assert_int_equal(p->payload_have, len);
}

static inline void assert_datagram(uint8_t family)
{
	struct packet p;

	assert_int_equal(parse(&p), PACKET_OK);
	assert_int_equal(p.kind, PACKET_DATAGRAM);
	assert_flow(&p, family, IPPROTO_UDP);
	assert_payload(&p, b.l4 + 8, PAYLOAD);
}

static inline void assert_result(enum packet_result want)
{
	struct packet p;

	assert_int_equal(parse(&p), want);
}

#endif
