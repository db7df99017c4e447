/* SPDX-License-Identifier: BSD-2-Clause */
/* The zone a response proves, and the many that prove none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/zone.h"

enum { QR = 0x8000, AA = 0x0400, UPDATE = 5 << 11, A = 1, NS = 2, CNAME = 5, SOA = 6 };

static uint8_t message[4096];
static uint32_t len;

static void put16(unsigned value)
{
	message[len++] = (uint8_t)(value >> 8);
	message[len++] = (uint8_t)value;
}

/* "www.example" as labels; "" is the root; "@12" ends in a pointer to byte 12. */
static void put_name(const char *text)
{
	while (*text && *text != '@') {
		size_t label = strcspn(text, ".@");

		message[len++] = (uint8_t)label;
		memcpy(message + len, text, label);
		len += (uint32_t)label;
		text += label + (text[label] == '.');
	}
	if (*text == '@')
		put16(0xc000U | (unsigned)strtoul(text + 1, NULL, 10));
	else
		message[len++] = 0;
}

static void begin(unsigned flags, unsigned answers, unsigned authorities, const char *question)
{
	len = 0;
	put16(1);
	put16(flags);
	put16(1);
	put16(answers);
	put16(authorities);
	put16(0);
	put_name(question);
	put16(A);
	put16(1);
}

static void put_record(const char *owner, unsigned type)
{
	put_name(owner);
	put16(type);
	put16(1);
	put16(0);
	put16(300);
	put16(4);
	put16(0);
	put16(0);
}

/* The zone as text with dots, or NULL. */
static const char *zone_text(void)
{
	static char text[DNS_NAME_MAX + 1];
	uint8_t name[DNS_NAME_MAX], *copy = malloc(len);
	struct dns dns;
	uint32_t zone, at = 0;

	memcpy(copy, message, len);
	assert_int_equal(dns_parse(copy, len, len, &dns), DNS_OK);
	zone = zone_of(&dns, name);
	free(copy);
	if (!zone)
		return NULL;
	text[0] = '\0';
	while (name[at]) {
		strncat(text, (const char *)name + at + 1, name[at]);
		strcat(text, ".");
		at += 1U + name[at];
	}
	assert_int_equal(at + 1, zone);
	return text;
}

static void test_negative_answer(void **state)
{
	begin(QR | AA, 0, 1, "www.example");
	put_record("@16", SOA);
	assert_string_equal(zone_text(), "example.");
	begin(QR, 0, 1, "www.example"); /* from a cache: the SOA is proof all the same */
	put_record("EXAMPLE", SOA);
	assert_string_equal(zone_text(), "EXAMPLE.");
	(void)state;
}

static void test_positive_answer(void **state)
{
	begin(QR | AA, 1, 2, "www.example");
	put_record("@12", A);
	put_record("@16", NS);
	put_record("@16", NS);
	assert_string_equal(zone_text(), "example.");
	(void)state;
}

static void test_root_zone(void **state)
{
	begin(QR | AA, 0, 1, "nosuch");
	put_record("", SOA);
	assert_string_equal(zone_text(), "");
	(void)state;
}

static void test_other_types_before(void **state)
{
	begin(QR | AA, 0, 3, "www.example");
	put_record("hash@16", 50); /* NSEC3 */
	put_record("@16", 46);     /* RRSIG */
	put_record("@16", SOA);
	assert_string_equal(zone_text(), "example.");
	(void)state;
}

static void test_referral_proves_nothing(void **state)
{
	begin(QR, 0, 1, "www.sub.example");
	put_record("@16", NS);
	assert_null(zone_text());
	(void)state;
}

static void test_cname_elsewhere_proves_nothing(void **state)
{
	begin(QR | AA, 1, 1, "www.example");
	put_record("@12", CNAME);
	put_record("other", SOA);
	assert_null(zone_text());
	begin(QR | AA, 0, 1, "xample");
	put_record("example", SOA);
	assert_null(zone_text());
	(void)state;
}

static void test_update(void **state)
{
	begin(UPDATE, 0, 0, "example");
	assert_string_equal(zone_text(), "example.");
	begin(UPDATE | QR, 0, 0, "example");
	assert_string_equal(zone_text(), "example.");
	(void)state;
}

static void test_nothing_to_prove(void **state)
{
	begin(QR | AA, 1, 0, "www.example");
	put_record("@12", A);
	assert_null(zone_text());
	begin(0, 0, 1, "www.example"); /* a query, IXFR has an SOA there */
	put_record("@16", SOA);
	assert_null(zone_text());
	(void)state;
}

static void test_bad_names(void **state)
{
	char self[16];

	begin(QR | AA, 0, 1, "www.example");
	snprintf(self, sizeof(self), "@%u", len); /* a pointer to itself */
	put_record(self, SOA);
	assert_null(zone_text());
	begin(QR | AA, 0, 1, "www.example");
	put_record("@4000", SOA);
	assert_null(zone_text());
	begin(QR | AA, 0, 1, "www.example");
	message[len++] = 0x80; /* a label type that was never assigned */
	put_record("@16", SOA);
	assert_null(zone_text());
	(void)state;
}

/* A chain of pointers as long as the message allows costs a bounded walk. */
static void test_pointer_chain(void **state)
{
	begin(QR | AA, 1, 1, "example");
	put_name("@12");
	put16(A);
	put16(1);
	put16(0);
	put16(300);
	put16(2000);
	for (unsigned i = 0; i < 1000; i++)
		put16(0xc000U | (i ? len - 2 : 12));
	put_name("@2000");
	put16(SOA);
	put16(1);
	put16(0);
	put16(300);
	put16(0);
	assert_null(zone_text());
	(void)state;
}

static void test_truncations(void **state)
{
	uint32_t whole;

	begin(QR | AA, 1, 2, "www.example");
	put_record("@12", A);
	put_record("@16", NS);
	put_record("@16", SOA);
	whole = len;
	for (uint32_t have = DNS_HEADER_LEN; have < whole; have++) {
		uint8_t name[DNS_NAME_MAX], *copy = malloc(have);
		struct dns dns;

		memcpy(copy, message, have);
		if (dns_parse(copy, have, whole, &dns) == DNS_OK) {
			uint32_t zone = zone_of(&dns, name);

			assert_true(zone == 0 || zone == 9);
		}
		free(copy);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_negative_answer),
		cmocka_unit_test(test_positive_answer),
		cmocka_unit_test(test_root_zone),
		cmocka_unit_test(test_other_types_before),
		cmocka_unit_test(test_referral_proves_nothing),
		cmocka_unit_test(test_cname_elsewhere_proves_nothing),
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_nothing_to_prove),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_pointer_chain),
		cmocka_unit_test(test_truncations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
