/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines to the character. The expected text lines, names and addresses are what golang-dnstap
 * 0.4.0 (`dnstap -q` and `-j`) printed of frames with the same fields.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "base/flow.h"
#include "dnstap/lines.h"

static const uint8_t client4[] = {10, 0, 0, 1}, server4[] = {10, 0, 0, 2};
static const uint8_t wire[] = "\0\1\1\0\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1";

enum { WIRE_LEN = sizeof(wire) - 1 };

static struct dns a_question(const char *name, size_t len, uint16_t qtype, uint16_t qclass)
{
	return (struct dns){
		.qdcount = 1,
		.qname = (const uint8_t *)name,
		.qname_len = (uint8_t)len,
		.qtype = qtype,
		.qclass = qclass,
	};
}

static struct dns the_question(void)
{
	return a_question("\3www\7example\3com", 17, 1, 1);
}

static struct message a_message(enum message_type type, const struct dns *dns)
{
	return (struct message){
		.type = type,
		.family = FAMILY_IPV4,
		.protocol = IPPROTO_UDP,
		.query_address = client4,
		.response_address = server4,
		.query_port = 1234,
		.response_port = 53,
		.query_time = 1700000000123456789,
		.response_time = type & 1 ? 0 : 1700000001000000999,
		.query = {wire, WIRE_LEN},
		.response = {wire, WIRE_LEN},
		.dns = dns,
	};
}

static void assert_line(
	struct lines *lines, const struct message *m, bool full, const char *expected)
{
	struct bytes line = lines_format(lines, m, full);
	char text[4096];

	assert_non_null(line.at);
	assert_true(line.len < sizeof(text));
	memcpy(text, line.at, line.len);
	text[line.len] = '\0';
	assert_string_equal(text, expected);
}

static int new_text(void **state)
{
	setenv("TZ", "UTC0", 1);
	*state = lines_new(LINES_TEXT, "me", "v");
	return *state ? 0 : -1;
}

static int new_json(void **state)
{
	*state = lines_new(LINES_JSON, "me", "v");
	return *state ? 0 : -1;
}

static int free_lines(void **state)
{
	lines_free(*state);
	return 0;
}

static void text_of_all_types(void **state)
{
	static const char *const starts[] = {
		[MESSAGE_AUTH_QUERY] = "22:13:20.123456 AQ 10.0.0.1",
		[MESSAGE_AUTH_RESPONSE] = "22:13:21.000000 AR 10.0.0.1",
		[MESSAGE_RESOLVER_QUERY] = "22:13:20.123456 RQ 10.0.0.2",
		[MESSAGE_RESOLVER_RESPONSE] = "22:13:21.000000 RR 10.0.0.2",
		[MESSAGE_CLIENT_QUERY] = "22:13:20.123456 CQ 10.0.0.1",
		[MESSAGE_CLIENT_RESPONSE] = "22:13:21.000000 CR 10.0.0.1",
		[MESSAGE_FORWARDER_QUERY] = "22:13:20.123456 FQ 10.0.0.2",
		[MESSAGE_FORWARDER_RESPONSE] = "22:13:21.000000 FR 10.0.0.2",
		[MESSAGE_TOOL_QUERY] = "22:13:20.123456 TQ 10.0.0.2",
		[MESSAGE_TOOL_RESPONSE] = "22:13:21.000000 TR 10.0.0.2",
		[MESSAGE_UPDATE_QUERY] = "22:13:20.123456 UQ 10.0.0.2",
		[MESSAGE_UPDATE_RESPONSE] = "22:13:21.000000 UR 10.0.0.2",
	};
	struct dns dns = the_question();
	int type;

	for (type = MESSAGE_AUTH_QUERY; type <= MESSAGE_UPDATE_RESPONSE; type++) {
		struct message m = a_message(type, &dns);
		char expected[128];

		if (starts[type])
			snprintf(expected, sizeof(expected),
				"%s UDP 33b \"www.example.com.\" IN A\n", starts[type]);
		else
			strcpy(expected, "[unhandled Message.Type]\n");
		assert_line(*state, &m, true, expected);
	}
}

static void text_of_what_is_missing(void **state)
{
	struct dns dns = the_question();
	struct dns no_question = {.qdcount = 0};
	struct message m = a_message(MESSAGE_CLIENT_RESPONSE, &dns);

	assert_line(*state, &m, false, "22:13:21.000000 CR 10.0.0.1 UDP 0b X \n");
	m.response_time = 0;
	m.query_address = NULL;
	m.protocol = IPPROTO_TCP;
	assert_line(*state, &m, true,
		"??:??:??.?????? CR MISSING_ADDRESS TCP 33b \"www.example.com.\" IN A\n");
	m.dns = &no_question;
	m.response.len = 12;
	assert_line(*state, &m, true, "??:??:??.?????? CR MISSING_ADDRESS TCP 12b X \n");
	m.dns = NULL;
	m.response.at = NULL;
	assert_line(*state, &m, true, "??:??:??.?????? CR MISSING_ADDRESS TCP 0b X \n");
}

static void text_is_in_local_time(void **state)
{
	struct dns dns = the_question();
	struct message m = a_message(MESSAGE_CLIENT_QUERY, &dns);
	struct lines *lines;

	(void)state;
	setenv("TZ", "EST5EDT,M3.2.0,M11.1.0", 1);
	lines = lines_new(LINES_TEXT, NULL, NULL);
	assert_line(lines, &m, false, "17:13:20.123456 CQ 10.0.0.1 UDP 0b X \n");
	m.query_time = 1720000000000000000;
	assert_line(lines, &m, false, "05:46:40.000000 CQ 10.0.0.1 UDP 0b X \n");
	lines_free(lines);
}

static void text_of_addresses(void **state)
{
	static const struct {
		uint8_t address[16];
		const char *text;
	} cases[] = {
		{{[15] = 1}, "::1"},
		{{0}, "::"},
		{{[12] = 1, 2, 3, 4}, "::102:304"},
		{{[10] = 0xff, 0xff, 1, 2, 3, 4}, "1.2.3.4"},
		{{[1] = 1, [7] = 2, [15] = 3}, "1:0:0:2::3"},
		{{[1] = 1, [7] = 2, [9] = 3, [15] = 4}, "1::2:3:0:0:4"},
		{{0, 1, 0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7}, "1:0:2:3:4:5:6:7"},
		{{0xfe, 0x80}, "fe80::"},
		{{[5] = 1}, "0:0:1::"},
		{{0xab, 0xcd, 0xef, 0x01, 0x02, 0x03, 0x00, 0x40, 0, 0, 0, 1, 0, 0, 0, 1},
			"abcd:ef01:203:40:0:1:0:1"},
		{{0x00, 0x64, 0xff, 0x9b, [12] = 1, 2, 3, 4}, "64:ff9b::102:304"},
	};
	struct message m = a_message(MESSAGE_CLIENT_QUERY, NULL);
	char expected[128];
	size_t i;

	m.family = FAMILY_IPV6;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		m.query_address = cases[i].address;
		snprintf(expected, sizeof(expected), "22:13:20.123456 CQ %s UDP 0b X \n",
			cases[i].text);
		assert_line(*state, &m, false, expected);
	}
}

static void assert_question(struct lines *lines, const struct dns *dns, const char *question)
{
	struct message m = a_message(MESSAGE_CLIENT_QUERY, dns);
	char expected[2048];

	snprintf(expected, sizeof(expected), "22:13:20.123456 CQ 10.0.0.1 UDP 33b %s\n", question);
	assert_line(lines, &m, true, expected);
}

static void text_of_types_and_classes(void **state)
{
	static const struct {
		uint16_t qtype, qclass;
		const char *text;
	} cases[] = {
		{0, 0, "CLASS0 None"},
		{28, 3, "CH AAAA"},
		{65, 4, "HS HTTPS"},
		{6, 254, "NONE SOA"},
		{255, 255, "CLASS255 ANY"},
		{258, 2, "CS AVC"},
		{259, 5, "CLASS5 TYPE259"},
		{32768, 1234, "CLASS1234 TA"},
		{32769, 253, "CLASS253 DLV"},
		{38, 1, "IN TYPE38"},
		{65280, 65535, "CLASS65535 TYPE65280"},
		{65535, 1, "IN Reserved"},
	};
	char expected[64];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dns dns = a_question("", 1, cases[i].qtype, cases[i].qclass);

		snprintf(expected, sizeof(expected), "\".\" %s", cases[i].text);
		assert_question(*state, &dns, expected);
	}
}

static void text_of_hostile_names(void **state)
{
	static const char hostile[] = "\13\0\t\n\r\33\177\200\377 ab"
				      "\13.\\\"'@;()$*A";
	struct dns dns = a_question(hostile, sizeof(hostile), 1, 1);
	char name[255], expected[1100] = "\"";
	size_t i, at = 1;

	assert_question(*state, &dns,
		"\"\\000\\009\\010\\013\\027\\127\\128\\255\\ ab."
		"\\.\\\\\\\"\\'\\@\\;\\(\\)$*A.\" IN A");

	/* The longest text: 251 bytes in labels of 63, 63, 63 and 61, each as \DDD. */
	memset(name, 0xc8, sizeof(name));
	name[0] = name[64] = name[128] = 63;
	name[192] = 61;
	name[254] = 0;
	for (i = 1; i < 254; i++)
		if (name[i] == 63 || name[i] == 61)
			expected[at++] = '.';
		else
			at += (size_t)sprintf(expected + at, "\\200");
	strcpy(expected + at, ".\" IN A");
	dns = a_question(name, sizeof(name), 1, 1);
	assert_question(*state, &dns, expected);
}

static void json_of_a_query(void **state)
{
	struct dns dns = the_question();
	struct message m = a_message(MESSAGE_CLIENT_QUERY, &dns);

	assert_line(*state, &m, true,
		"{\"type\":\"MESSAGE\",\"identity\":\"me\",\"version\":\"v\",\"message\":{"
		"\"type\":\"CLIENT_QUERY\",\"query_time\":\"2023-11-14T22:13:20.123456789Z\","
		"\"socket_family\":\"INET\",\"socket_protocol\":\"UDP\","
		"\"query_address\":\"10.0.0.1\",\"response_address\":\"10.0.0.2\","
		"\"query_port\":1234,\"response_port\":53,"
		"\"query_wire\":\"AAEBAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB\","
		"\"qname\":\"www.example.com.\",\"qtype\":\"A\"}}\n");
}

static void json_of_a_response(void **state)
{
	static const uint8_t server6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 0x53};
	struct dns dns = a_question("\3c\"m", 5, 65280, 1);
	struct message m = a_message(MESSAGE_RESOLVER_RESPONSE, &dns);

	dns.rcode = 3;
	m.family = FAMILY_IPV6;
	m.protocol = IPPROTO_TCP;
	m.query_address = NULL;
	m.response_address = server6;
	m.query_port = 0;
	m.query_time = 1700000001000000000;
	m.response_time = 1700000001100000000;
	m.query_zone = (struct bytes){(const uint8_t *)"", 1};
	m.extra = (struct bytes){(const uint8_t *)"a\"b", 3};
	m.query = (struct bytes){wire, 1};
	m.response = (struct bytes){wire, 2};
	assert_line(*state, &m, true,
		"{\"type\":\"MESSAGE\",\"identity\":\"me\",\"version\":\"v\",\"extra\":\"a\\\"b\","
		"\"message\":{\"type\":\"RESOLVER_RESPONSE\","
		"\"query_time\":\"2023-11-14T22:13:21Z\","
		"\"response_time\":\"2023-11-14T22:13:21.1Z\","
		"\"socket_family\":\"INET6\",\"socket_protocol\":\"TCP\","
		"\"response_address\":\"2001:db8::53\",\"response_port\":53,\"query_zone\":\".\","
		"\"query_wire\":\"AA==\",\"response_wire\":\"AAE=\","
		"\"qname\":\"c\\\\\\\"m.\",\"qtype\":\"TYPE65280\",\"rcode\":\"NXDOMAIN\"}}\n");
}

static void json_without_bytes_still_has_the_question(void **state)
{
	struct dns dns = {.qdcount = 0, .rcode = 11};
	struct message m = a_message(MESSAGE_STUB_RESPONSE, &dns);

	m.query_time = m.response_time = 0;
	m.query_address = m.response_address = NULL;
	m.query_port = m.response_port = 0;
	assert_line(*state, &m, false,
		"{\"type\":\"MESSAGE\",\"identity\":\"me\",\"version\":\"v\",\"message\":{"
		"\"type\":\"STUB_RESPONSE\",\"socket_family\":\"INET\","
		"\"socket_protocol\":\"UDP\",\"rcode\":\"RCODE11\"}}\n");
	dns = the_question();
	assert_line(*state, &m, false,
		"{\"type\":\"MESSAGE\",\"identity\":\"me\",\"version\":\"v\",\"message\":{"
		"\"type\":\"STUB_RESPONSE\",\"socket_family\":\"INET\","
		"\"socket_protocol\":\"UDP\",\"qname\":\"www.example.com.\",\"qtype\":\"A\","
		"\"rcode\":\"NOERROR\"}}\n");
}

static void json_identity_is_escaped(void **state)
{
	struct message m = a_message(MESSAGE_CLIENT_QUERY, NULL);
	struct lines *lines = lines_new(
		LINES_JSON, "a\"\\\n\x7f<\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xa7", NULL);

	(void)state;
	m.query_time = 0;
	m.query_port = m.response_port = 0;
	m.query_address = m.response_address = NULL;
	m.extra = (struct bytes){(const uint8_t *)"\xff\xc3x", 3};
	assert_line(lines, &m, false,
		"{\"type\":\"MESSAGE\","
		"\"identity\":\"a\\\"\\\\\\u000a\\u007f<\\u00e9\\u20ac\\ud83d\\udc27\","
		"\"extra\":\"\\ufffd\\ufffdx\",\"message\":{\"type\":\"CLIENT_QUERY\","
		"\"socket_family\":\"INET\",\"socket_protocol\":\"UDP\"}}\n");
	lines_free(lines);
}

static void json_of_the_longest_fields_fits(void **state)
{
	static uint8_t big[DNS_MESSAGE_MAX + 1], text[MESSAGE_TEXT_MAX + 1];
	static char name[255];
	struct dns dns = a_question(name, sizeof(name), 3, 3);
	struct message m = a_message(MESSAGE_FORWARDER_RESPONSE, &dns);
	struct lines *lines;
	struct bytes line;

	(void)state;
	memset(text, 1, MESSAGE_TEXT_MAX);
	memset(name, 0xc8, sizeof(name));
	name[0] = name[64] = name[128] = 63;
	name[192] = 61;
	name[254] = 0;
	m.query = m.response = (struct bytes){big, DNS_MESSAGE_MAX};
	m.extra = (struct bytes){text, MESSAGE_TEXT_MAX};
	m.query_zone = (struct bytes){(uint8_t *)name, sizeof(name)};
	lines = lines_new(LINES_JSON, (char *)text, (char *)text);
	line = lines_format(lines, &m, true);
	assert_non_null(line.at);
	assert_true(line.len > 2 * 87380 + 3 * 6 * MESSAGE_TEXT_MAX + 2 * 251 * 5);
	assert_memory_equal(line.at + line.len - 3, "}}\n", 3);
	assert_null(memchr(line.at, '\n', line.len - 1));

	/* Out of contract, but never out of the buffer. */
	m.query = m.response = (struct bytes){big, sizeof(big)};
	m.extra = (struct bytes){big, sizeof(big)};
	assert_null(lines_format(lines, &m, true).at);
	m.extra.at = NULL;
	m.query_zone = (struct bytes){(uint8_t *)name, 100};
	assert_non_null(lines_format(lines, &m, true).at);
	lines_free(lines);
}

static void unfit_identities_are_refused(void **state)
{
	char longest[MESSAGE_TEXT_MAX + 2] = {0};

	(void)state;
	memset(longest, 'i', MESSAGE_TEXT_MAX + 1);
	assert_null(lines_new(LINES_JSON, "\xff", NULL));
	assert_null(lines_new(LINES_TEXT, NULL, "\xc3("));
	assert_null(lines_new(LINES_JSON, longest, NULL));
	lines_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(text_of_all_types, new_text, free_lines),
		cmocka_unit_test_setup_teardown(text_of_what_is_missing, new_text, free_lines),
		cmocka_unit_test(text_is_in_local_time),
		cmocka_unit_test_setup_teardown(text_of_addresses, new_text, free_lines),
		cmocka_unit_test_setup_teardown(text_of_types_and_classes, new_text, free_lines),
		cmocka_unit_test_setup_teardown(text_of_hostile_names, new_text, free_lines),
		cmocka_unit_test_setup_teardown(json_of_a_query, new_json, free_lines),
		cmocka_unit_test_setup_teardown(json_of_a_response, new_json, free_lines),
		cmocka_unit_test_setup_teardown(
			json_without_bytes_still_has_the_question, new_json, free_lines),
		cmocka_unit_test(json_identity_is_escaped),
		cmocka_unit_test(json_of_the_longest_fields_fits),
		cmocka_unit_test(unfit_identities_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
