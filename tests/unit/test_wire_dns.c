/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/dns.h"

static struct {
	uint8_t bytes[2048];
	uint32_t len;
} m;

static void append(const void *bytes, size_t len)
{
	memcpy(m.bytes + m.len, bytes, len);
	m.len += (uint32_t)len;
}

static void put16(uint32_t at, unsigned value)
{
	m.bytes[at] = (uint8_t)(value >> 8);
	m.bytes[at + 1] = (uint8_t)value;
}

static void begin(uint16_t flags, uint16_t qd, uint16_t an, uint16_t ns, uint16_t ar)
{
	const uint16_t words[] = {0x1234, flags, qd, an, ns, ar};

	m.len = DNS_HEADER_LEN;
	for (uint32_t i = 0; i < 6; i++)
		put16(2 * i, words[i]);
}

/* name as on the wire but for the root label, which the string's own end is. */
static void add_question(const char *name, uint16_t type)
{
	append(name, strlen(name) + 1);
	m.len += 4;
	put16(m.len - 4, type);
	put16(m.len - 2, 1);
}

static enum dns_result parse_part(uint32_t have, uint32_t len, struct dns *ret)
{
	uint8_t *copy = malloc(have ? have : 1);
	enum dns_result result;

	assert_non_null(copy);
	memcpy(copy, m.bytes, have);
	memset(ret, 0xa5, sizeof(*ret));
	result = dns_parse(have ? copy : copy + 1, have, len, ret);
	if (result == DNS_OK) {
		assert_ptr_equal(ret->bytes, copy);
		assert_int_equal(ret->have, have);
		assert_int_equal(ret->len, len);
		if (ret->qname) {
			assert_ptr_equal(ret->qname, copy + DNS_HEADER_LEN);
			assert_true(DNS_HEADER_LEN + ret->qname_len + 4U <= have);
			ret->qname = m.bytes + DNS_HEADER_LEN;
		}
		ret->bytes = m.bytes;
	}
	free(copy);
	return result;
}

static enum dns_result parse(struct dns *ret)
{
	return parse_part(m.len, m.len, ret);
}

static void assert_result(enum dns_result want)
{
	struct dns dns;

	assert_int_equal(parse(&dns), want);
}

static void test_query(void **state)
{
	struct dns dns;

	(void)state;
	begin(0x0100, 1, 0, 0, 1);
	add_question("\3www\7example\3com", 28);
	append("\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);
	assert_int_equal(parse(&dns), DNS_OK);
	assert_int_equal(dns.id, 0x1234);
	assert_false(dns.qr);
	assert_true(dns.rd);
	assert_false(dns.aa || dns.tc || dns.ra);
	assert_int_equal(dns.opcode, DNS_OPCODE_QUERY);
	assert_int_equal(dns.rcode, 0);
	assert_int_equal(dns.qdcount, 1);
	assert_int_equal(dns.arcount, 1);
	assert_int_equal(dns.qname_len, 17);
	assert_memory_equal(dns.qname, "\3www\7example\3com", 17);
	assert_int_equal(dns.qtype, 28);
	assert_int_equal(dns.qclass, 1);
}

/* One flag set at a time shows in its own field alone. */
static void test_flags(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 16; bit++) {
		struct dns dns;

		begin((uint16_t)(1 << bit), 0, 0, 0, 0);
		assert_int_equal(parse(&dns), DNS_OK);
		assert_int_equal(dns.qr, bit == 15);
		assert_int_equal(dns.opcode, bit >= 11 && bit < 15 ? 1 << (bit - 11) : 0);
		assert_int_equal(dns.aa, bit == 10);
		assert_int_equal(dns.tc, bit == 9);
		assert_int_equal(dns.rd, bit == 8);
		assert_int_equal(dns.ra, bit == 7);
		assert_int_equal(dns.rcode, bit < 4 ? 1 << bit : 0);
	}
}

static void test_no_question(void **state)
{
	struct dns dns;
	uint8_t key[DNS_NAME_MAX + 4];

	(void)state;
	begin(0x8185, 0, 0, 0, 0);
	assert_int_equal(parse(&dns), DNS_OK);
	assert_null(dns.qname);
	assert_int_equal(dns.rcode, DNS_RCODE_REFUSED);
	assert_int_equal(dns_question_key(&dns, key), 0);
	assert_false(dns_is_transfer(&dns));
}

static void test_every_truncation(void **state)
{
	struct dns whole, part;

	(void)state;
	begin(0x8180, 1, 1, 0, 0);
	add_question("\3www\7example\3com", 1);
	append("\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc6\x33\x64\x07", 16);
	assert_int_equal(parse(&whole), DNS_OK);
	for (uint32_t have = 0; have < m.len; have++) {
		enum dns_result result = parse_part(have, m.len, &part);

		assert_int_equal(result, have < 12 + 17 + 4 ? DNS_TRUNCATED : DNS_OK);
		if (result == DNS_OK) {
			part.have = m.len;
			assert_memory_equal(&part, &whole, sizeof(part));
		}
		result = parse_part(have, have, &part);
		if (have < DNS_HEADER_LEN)
			assert_int_equal(result, DNS_SHORT);
		else if (have < 12 + 17 + 4)
			assert_int_equal(result, DNS_MALFORMED);
	}
}

/* The capture cut a message that ends with its question. */
static void test_cut_question(void **state)
{
	struct dns dns;

	(void)state;
	begin(0, 1, 0, 0, 0);
	add_question("\3www\7example\3com", 1);
	for (uint32_t have = DNS_HEADER_LEN; have < m.len; have++)
		assert_int_equal(parse_part(have, m.len, &dns), DNS_TRUNCATED);
}

static void test_truncated_answer(void **state)
{
	(void)state;
	begin(0x8380, 1, 20, 5, 9);
	add_question("\3www\7example\3com", 1);
	assert_result(DNS_OK);
	put16(2, 0x8180); /* the same counts without TC */
	assert_result(DNS_MALFORMED);
}

static void test_counts(void **state)
{
	(void)state;
	begin(0, 1, 0, 0, 0);
	add_question("", 1);
	for (uint32_t at = 6; at <= 10; at += 2) {
		put16(at, 1);
		assert_result(DNS_MALFORMED);
		m.len += 10;
		assert_result(DNS_MALFORMED);
		m.len += 1;
		assert_result(DNS_OK);
		put16(at, 0xffff);
		assert_result(DNS_MALFORMED);
		put16(at, 0);
		m.len -= 11;
	}
	put16(4, 2);
	assert_result(DNS_MALFORMED);
	m.len += 5;
	assert_result(DNS_OK);
	put16(4, 0xffff);
	assert_result(DNS_MALFORMED);
}

/* A name of three labels of 63 bytes and one of `last`: 3 * 64 + 1 + last + 1 bytes. */
static void add_long_name(uint8_t last)
{
	static const uint8_t label[64] = {63};

	for (int i = 0; i < 3; i++)
		append(label, 64);
	append(&last, 1);
	append(label + 1, last);
	append("\0\0\1\0\1", 5);
}

static void test_longest_name(void **state)
{
	struct dns dns;

	(void)state;
	begin(0, 1, 0, 0, 0);
	add_long_name(61);
	assert_int_equal(parse(&dns), DNS_OK);
	assert_int_equal(dns.qname_len, 255);
	assert_int_equal(m.len, DNS_CLAMP_LEN);
	begin(0, 1, 0, 0, 0);
	add_long_name(62);
	assert_result(DNS_MALFORMED);
	begin(0, 1, 0, 0, 0);
	add_long_name(63);
	assert_result(DNS_MALFORMED);
}

static void test_label_types(void **state)
{
	struct dns dns;

	(void)state;
	for (unsigned label = 0; label < 256; label++) {
		begin(0, 1, 0, 0, 0);
		memset(m.bytes + m.len, 0, 100);
		m.bytes[m.len] = (uint8_t)label;
		m.len += 100;
		assert_int_equal(parse(&dns), label < 64 ? DNS_OK : DNS_MALFORMED);
	}
}

static void test_many_labels(void **state)
{
	struct dns dns;

	(void)state;
	for (int labels = 126; labels <= 128; labels++) {
		begin(0, 1, 0, 0, 0);
		for (int i = 0; i < labels; i++)
			append("\1a", 2);
		append("\0\0\1\0\1", 5);
		assert_int_equal(parse(&dns), labels <= 127 ? DNS_OK : DNS_MALFORMED);
	}
}

static void test_question_key(void **state)
{
	struct dns dns;
	uint8_t key[DNS_NAME_MAX + 4];

	(void)state;
	begin(0, 1, 0, 0, 0);
	add_question("\6WwW.Zz\4A@[`\3\xc0\xe4\xdf", 0x4142);
	assert_int_equal(parse(&dns), DNS_OK);
	assert_int_equal(dns_question_key(&dns, key), 17 + 4);
	assert_memory_equal(key, "\6www.zz\4a@[`\3\xc0\xe4\xdf\0\x41\x42\0\1", 17 + 4);
}

/* Bytes other than A to Z stay; so does the length of each label. */
static void test_question_key_of_all_bytes(void **state)
{
	struct dns dns;
	uint8_t key[DNS_NAME_MAX + 4];

	(void)state;
	for (unsigned byte = 0; byte < 256; byte++) {
		begin(0, 1, 0, 0, 0);
		add_question("\1x", 1);
		m.bytes[DNS_HEADER_LEN + 1] = (uint8_t)byte;
		assert_int_equal(parse(&dns), DNS_OK);
		assert_int_equal(dns_question_key(&dns, key), 7);
		assert_int_equal(key[1], byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
		assert_int_equal(key[0], 1);
	}
}

static void test_transfer(void **state)
{
	struct dns dns;

	(void)state;
	for (uint16_t type = 248; type <= 255; type++) {
		begin(0, 1, 0, 0, 0);
		add_question("\7example", type);
		assert_int_equal(parse(&dns), DNS_OK);
		assert_int_equal(dns_is_transfer(&dns), type == 251 || type == 252);
	}
	begin(0x2000, 1, 0, 0, 0); /* NOTIFY */
	add_question("\7example", DNS_TYPE_AXFR);
	assert_int_equal(parse(&dns), DNS_OK);
	assert_false(dns_is_transfer(&dns));
}

/* What is OK has a question that lies within the bytes: parse_part asserts it. */
static void test_random_bytes(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		struct dns dns;
		uint32_t have;

		begin((uint16_t)rand_r(&seed), (uint16_t)(rand_r(&seed) % 3), 0, 0, 0);
		m.len += (unsigned)rand_r(&seed) % 300;
		for (uint32_t i = DNS_HEADER_LEN; i < m.len; i++)
			m.bytes[i] = (uint8_t)(rand_r(&seed) & (round & 1 ? 0x0f : 0x7f));
		have = (unsigned)rand_r(&seed) % (m.len + 1);
		parse_part(have, round & 2 ? m.len : have, &dns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_no_question),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_cut_question),
		cmocka_unit_test(test_truncated_answer),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_longest_name),
		cmocka_unit_test(test_label_types),
		cmocka_unit_test(test_many_labels),
		cmocka_unit_test(test_question_key),
		cmocka_unit_test(test_question_key_of_all_bytes),
		cmocka_unit_test(test_transfer),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
