/* SPDX-License-Identifier: BSD-2-Clause */
/* What a collector finds in a frame, for every type of message and at the size limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "base/flow.h"
#include "dnstap.pb-c.h"
#include "dnstap/message.h"

static const uint8_t address4[2][4] = {{192, 0, 2, 1}, {198, 51, 100, 53}};
static const uint8_t address6[2][16] = {
	{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, {0x20, 0x01, 0x0d, 0xb8, [15] = 0x53}};
static const uint8_t query[] = "a query, as it was on the wire";
static const uint8_t response[] = "a response, with \0 in it";
static const uint8_t zone[] = "\7example";
static const uint8_t extra[] = "pod=dns-1";

static struct message a_message(enum message_type type, uint8_t family)
{
	return (struct message){
		.type = type,
		.family = family,
		.protocol = family == FAMILY_IPV4 ? IPPROTO_UDP : IPPROTO_TCP,
		.query_address = family == FAMILY_IPV4 ? address4[0] : address6[0],
		.response_address = family == FAMILY_IPV4 ? address4[1] : address6[1],
		.query_port = 65535,
		.response_port = 53,
		.query_time = 1700000000999999999,
		.response_time = type & 1 ? 0 : 1700000001000000001,
		.query = {query, sizeof(query)},
		.response = {response, sizeof(response)},
	};
}

static Dnstap__Dnstap *unpack(struct bytes frame)
{
	Dnstap__Dnstap *dnstap = dnstap__dnstap__unpack(NULL, frame.len, frame.at);

	assert_non_null(dnstap);
	assert_int_equal(dnstap->type, DNSTAP__DNSTAP__TYPE__MESSAGE);
	assert_non_null(dnstap->message);
	return dnstap;
}

static void assert_binary(
	protobuf_c_boolean has, ProtobufCBinaryData data, const void *at, size_t len)
{
	assert_int_equal(has, at != NULL);
	if (!at)
		return;
	assert_int_equal(data.len, len);
	assert_memory_equal(data.data, at, len);
}

static void assert_time(protobuf_c_boolean has_sec, uint64_t sec, protobuf_c_boolean has_nsec,
	uint32_t nsec, uint64_t time)
{
	assert_int_equal(has_sec, time != 0);
	assert_int_equal(has_nsec, time != 0);
	if (time)
		assert_int_equal(sec * 1000000000 + nsec, time);
}

static void assert_same(const Dnstap__Message *pb, const struct message *m, bool full)
{
	bool is_query = m->type & 1;
	size_t len = m->family == FAMILY_IPV4 ? 4 : 16;

	assert_int_equal(pb->type, m->type);
	assert_true(pb->has_socket_family);
	assert_int_equal(pb->socket_family, m->family == FAMILY_IPV4 ? 1 : 2);
	assert_true(pb->has_socket_protocol);
	assert_int_equal(pb->socket_protocol, m->protocol == IPPROTO_UDP ? 1 : 2);
	assert_binary(pb->has_query_address, pb->query_address, m->query_address, len);
	assert_binary(pb->has_response_address, pb->response_address, m->response_address, len);
	assert_int_equal(pb->has_query_port, m->query_port != 0);
	assert_int_equal(pb->query_port, m->query_port);
	assert_int_equal(pb->has_response_port, m->response_port != 0);
	assert_int_equal(pb->response_port, m->response_port);
	assert_time(pb->has_query_time_sec, pb->query_time_sec, pb->has_query_time_nsec,
		pb->query_time_nsec, m->query_time);
	assert_time(pb->has_response_time_sec, pb->response_time_sec, pb->has_response_time_nsec,
		pb->response_time_nsec, m->response_time);
	assert_binary(pb->has_query_message, pb->query_message, full ? m->query.at : NULL,
		m->query.len);
	assert_binary(pb->has_response_message, pb->response_message,
		full && !is_query ? m->response.at : NULL, m->response.len);
	assert_binary(pb->has_query_zone, pb->query_zone, m->query_zone.at, m->query_zone.len);
	assert_null(pb->policy);
	assert_false(pb->has_http_protocol);
	assert_int_equal(pb->base.n_unknown_fields, 0);
}

static void assert_round_trip(struct encoder *encoder, const struct message *m, bool full)
{
	struct bytes frame = encoder_encode(encoder, m, full);
	Dnstap__Dnstap *dnstap = unpack(frame);

	assert_binary(dnstap->has_identity, dnstap->identity, "ns1", 3);
	assert_binary(dnstap->has_version, dnstap->version, "tap 1.0", 7);
	assert_binary(dnstap->has_extra, dnstap->extra, m->extra.at, m->extra.len);
	assert_same(dnstap->message, m, full);
	dnstap__dnstap__free_unpacked(dnstap, NULL);
}

static int new_encoder(void **state)
{
	*state = encoder_new("ns1", "tap 1.0");
	return *state ? 0 : -1;
}

static int free_encoder(void **state)
{
	encoder_free(*state);
	return 0;
}

static void all_types_carry_all_fields(void **state)
{
	int type, full;

	for (type = MESSAGE_AUTH_QUERY; type <= MESSAGE_UPDATE_RESPONSE; type++) {
		for (full = 0; full < 2; full++) {
			struct message m4 = a_message(type, FAMILY_IPV4);
			struct message m6 = a_message(type, FAMILY_IPV6);

			assert_round_trip(*state, &m4, full);
			assert_round_trip(*state, &m6, full);
		}
	}
}

static void a_response_alone_has_no_query_bytes(void **state)
{
	struct message m = a_message(MESSAGE_CLIENT_RESPONSE, FAMILY_IPV4);

	m.query = (struct bytes){0};
	assert_round_trip(*state, &m, true);
}

/* Also that nothing stays behind from the message before. */
static void absent_fields_are_absent(void **state)
{
	struct message whole = a_message(MESSAGE_AUTH_RESPONSE, FAMILY_IPV6);
	struct message bare = {
		.type = MESSAGE_AUTH_RESPONSE, .family = FAMILY_IPV4, .protocol = IPPROTO_TCP};

	whole.query_zone = (struct bytes){zone, sizeof(zone)};
	whole.extra = (struct bytes){extra, sizeof(extra) - 1};
	assert_round_trip(*state, &whole, true);
	assert_round_trip(*state, &bare, true);
	assert_round_trip(*state, &whole, false);
}

static void lengths_of_one_to_three_bytes(void **state)
{
	static const uint8_t big[DNS_MESSAGE_MAX];
	static const size_t lens[] = {1, 20, 60, 127, 128, 129, 16200, 16383, 16384, 65535};
	struct message m = a_message(MESSAGE_CLIENT_QUERY, FAMILY_IPV4);
	size_t i;

	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		m.query = (struct bytes){big, lens[i]};
		m.extra = (struct bytes){big, lens[i] % (MESSAGE_TEXT_MAX + 1)};
		if (!m.extra.len)
			m.extra.at = NULL;
		assert_round_trip(*state, &m, true);
	}
}

/* By hand from the public schema, so that a wrong number in our own text of it is seen. */
static void frame_is_what_the_public_schema_says(void **state)
{
	static const uint8_t golden[] = {0x0a, 3, 'n', 's', '1', 0x12, 1, 'v', 0x78, 1, 0x1a, 1,
		'x', 0x72, 50, 0x08, 6, 0x10, 1, 0x18, 1, 0x22, 4, 192, 0, 2, 1, 0x2a, 4, 198, 51,
		100, 53, 0x30, 0xff, 0xff, 0x03, 0x38, 53, 0x40, 1, 0x4d, 2, 0, 0, 0, 0x52, 1, 'q',
		0x5a, 1, 0, 0x60, 3, 0x6d, 4, 0, 0, 0, 0x72, 4, 'r', 'r', 'r', 'r'};
	struct encoder *encoder = encoder_new("ns1", "v");
	struct message m = a_message(MESSAGE_CLIENT_RESPONSE, FAMILY_IPV4);
	struct bytes frame;

	(void)state;
	m.query_time = 1000000002;
	m.response_time = 3000000004;
	m.query = (struct bytes){(const uint8_t *)"q", 1};
	m.response = (struct bytes){(const uint8_t *)"rrrr", 4};
	m.query_zone = (struct bytes){(const uint8_t *)"", 1};
	m.extra = (struct bytes){(const uint8_t *)"x", 1};
	frame = encoder_encode(encoder, &m, true);
	assert_int_equal(frame.len, sizeof(golden));
	assert_memory_equal(frame.at, golden, sizeof(golden));
	encoder_free(encoder);
}

static void assert_fields(const ProtobufCMessageDescriptor *descriptor, const char *const *names)
{
	unsigned number;
	unsigned count = 0;

	for (number = 1; number <= 16; number++) {
		const ProtobufCFieldDescriptor *field =
			protobuf_c_message_descriptor_get_field(descriptor, number);

		assert_int_equal(field != NULL, names[number] != NULL);
		if (!field)
			continue;
		assert_string_equal(field->name, names[number]);
		count++;
	}
	assert_int_equal(descriptor->n_fields, count);
}

static void schema_has_the_public_numbers(void **state)
{
	static const char *const dnstap[17] = {[1] = "identity", [2] = "version", [3] = "extra",
		[14] = "message", [15] = "type"};
	static const char *const policy[17] = {
		[1] = "type", [2] = "rule", [3] = "action", [4] = "match", [5] = "value"};
	static const char *const message[17] = {NULL, "type", "socket_family", "socket_protocol",
		"query_address", "response_address", "query_port", "response_port",
		"query_time_sec", "query_time_nsec", "query_message", "query_zone",
		"response_time_sec", "response_time_nsec", "response_message", "policy",
		"http_protocol"};

	(void)state;
	assert_fields(&dnstap__dnstap__descriptor, dnstap);
	assert_fields(&dnstap__message__descriptor, message);
	assert_fields(&dnstap__policy__descriptor, policy);
}

static void type_names_are_those_of_the_schema(void **state)
{
	int type;

	(void)state;
	for (type = MESSAGE_AUTH_QUERY; type <= MESSAGE_UPDATE_RESPONSE; type++) {
		const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
			&dnstap__message__type__descriptor, type);

		assert_non_null(value);
		assert_string_equal(message_type_name(type), value->name);
	}
	assert_null(message_type_name(0));
	assert_null(message_type_name(MESSAGE_UPDATE_RESPONSE + 1));
	assert_null(message_type_name(-1));
}

/* A response of the length that makes the whole frame with a query of 64 KiB exactly that long. */
static size_t response_len_for(struct encoder *encoder, struct message *m, size_t frame_len)
{
	struct bytes frame;

	m->response.len = 20000;
	frame = encoder_encode(encoder, m, true);
	assert_non_null(frame.at);
	return m->response.len + frame_len - frame.len;
}

static void over_the_limit_the_query_copy_goes_first(void **state)
{
	static const uint8_t big[DNS_MESSAGE_MAX];
	struct message m = a_message(MESSAGE_AUTH_RESPONSE, FAMILY_IPV6);
	size_t limit;
	struct bytes frame;

	m.extra = (struct bytes){extra, sizeof(extra) - 1};
	m.query = (struct bytes){big, sizeof(big)};
	m.response.at = big;
	limit = response_len_for(*state, &m, MESSAGE_FRAME_MAX);

	m.response.len = limit;
	frame = encoder_encode(*state, &m, true);
	assert_int_equal(frame.len, MESSAGE_FRAME_MAX);
	assert_round_trip(*state, &m, true);

	m.response.len = limit + 1;
	frame = encoder_encode(*state, &m, true);
	m.query = (struct bytes){0};
	assert_round_trip(*state, &m, true);
	assert_true(frame.len < MESSAGE_FRAME_MAX);

	m.response.len = DNS_MESSAGE_MAX;
	m.query = (struct bytes){big, sizeof(big)};
	assert_non_null(encoder_encode(*state, &m, true).at);
	assert_true(encoder_encode(*state, &m, false).len < 200);
}

static void what_cannot_fit_is_not_encoded(void **state)
{
	static const uint8_t big[MESSAGE_FRAME_MAX];
	struct message m = a_message(MESSAGE_CLIENT_QUERY, FAMILY_IPV4);
	struct bytes frame;

	m.query = (struct bytes){big, 90000};
	frame = encoder_encode(*state, &m, true);
	m.query.len += MESSAGE_FRAME_MAX - frame.len;
	assert_int_equal(encoder_encode(*state, &m, true).len, MESSAGE_FRAME_MAX);
	m.query.len++;
	assert_null(encoder_encode(*state, &m, true).at);
	assert_non_null(encoder_encode(*state, &m, false).at);

	m = a_message(MESSAGE_CLIENT_RESPONSE, FAMILY_IPV4);
	m.query = m.response = (struct bytes){big, sizeof(big)};
	assert_null(encoder_encode(*state, &m, true).at);

	m = a_message(MESSAGE_CLIENT_QUERY, FAMILY_IPV4);
	m.extra = (struct bytes){big, MESSAGE_TEXT_MAX};
	assert_round_trip(*state, &m, true);
	m.extra.len++;
	assert_null(encoder_encode(*state, &m, true).at);
}

static void assert_identity(const char *identity, const char *expected)
{
	struct encoder *encoder = encoder_new(identity, identity);
	struct message m = a_message(MESSAGE_CLIENT_QUERY, FAMILY_IPV4);
	Dnstap__Dnstap *dnstap;

	assert_non_null(encoder);
	assert_string_equal(encoder_identity(encoder), expected ? expected : "");
	assert_string_equal(encoder_version(encoder), expected ? expected : "");
	dnstap = unpack(encoder_encode(encoder, &m, true));
	assert_binary(dnstap->has_identity, dnstap->identity, expected,
		expected ? strlen(expected) : 0);
	assert_binary(
		dnstap->has_version, dnstap->version, expected, expected ? strlen(expected) : 0);
	dnstap__dnstap__free_unpacked(dnstap, NULL);
	encoder_free(encoder);
}

static void identity_and_version_are_optional_text(void **state)
{
	static const char of_all_lengths[] = "n\xc3\xa9mo \xe2\x82\xac \xf0\x9f\x90\xa7";
	char longest[MESSAGE_TEXT_MAX + 2];

	(void)state;
	memset(longest, 'i', sizeof(longest));
	longest[MESSAGE_TEXT_MAX + 1] = '\0';
	assert_null(encoder_new(longest, NULL));
	assert_null(encoder_new(NULL, longest));
	longest[MESSAGE_TEXT_MAX] = '\0';
	assert_identity(longest, longest);
	assert_identity(NULL, NULL);
	assert_identity("", NULL);
	assert_identity(of_all_lengths, of_all_lengths);
	encoder_free(NULL);
}

static void an_unknown_family_is_left_out(void **state)
{
	struct encoder *encoder = encoder_new(NULL, NULL);
	struct message m = {.type = MESSAGE_TOOL_QUERY, .protocol = IPPROTO_UDP};
	struct bytes frame = encoder_encode(encoder, &m, false);
	Dnstap__Dnstap *dnstap = dnstap__dnstap__unpack(NULL, frame.len, frame.at);

	assert_non_null(dnstap);
	assert_false(dnstap->message->has_socket_family);
	assert_false(dnstap->message->has_query_address);
	dnstap__dnstap__free_unpacked(dnstap, NULL);
	encoder_free(encoder);
	(void)state;
}

static void what_is_not_utf8_is_refused(void **state)
{
	static const char *const bad[] = {
		"\xff", "a\x80", "\xc3", "\xc3(", "\xe2\x82", /* cut short */
		"\xc0\xaf", "\xe0\x80\xaf",                  /* overlong */
		"\xed\xa0\x80",                              /* a surrogate */
		"\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",  /* above U+10FFFF */
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(message_text_valid(bad[i]));
		assert_null(encoder_new(bad[i], NULL));
		assert_null(encoder_new("ok", bad[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			all_types_carry_all_fields, new_encoder, free_encoder),
		cmocka_unit_test_setup_teardown(
			a_response_alone_has_no_query_bytes, new_encoder, free_encoder),
		cmocka_unit_test_setup_teardown(
			absent_fields_are_absent, new_encoder, free_encoder),
		cmocka_unit_test_setup_teardown(
			lengths_of_one_to_three_bytes, new_encoder, free_encoder),
		cmocka_unit_test(frame_is_what_the_public_schema_says),
		cmocka_unit_test(schema_has_the_public_numbers),
		cmocka_unit_test(type_names_are_those_of_the_schema),
		cmocka_unit_test_setup_teardown(
			over_the_limit_the_query_copy_goes_first, new_encoder, free_encoder),
		cmocka_unit_test_setup_teardown(
			what_cannot_fit_is_not_encoded, new_encoder, free_encoder),
		cmocka_unit_test(identity_and_version_are_optional_text),
		cmocka_unit_test(an_unknown_family_is_left_out),
		cmocka_unit_test(what_is_not_utf8_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
