/* SPDX-License-Identifier: BSD-2-Clause */
#include "dnstap/message.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/flow.h"
#include "dnstap.pb-c.h"
#include "dnstap/text.h"

enum {
	/* Protobuf's length-delimited keys of the two fields of Dnstap that vary. */
	KEY_EXTRA = 3 << 3 | 2,
	KEY_MESSAGE = 14 << 3 | 2,
	/* A key and a length: no field of a frame is as long as 2^21. */
	FIELD_MAX = 1 + 3,
	/* identity, version, and the 2 bytes of the type */
	HEAD_MAX = 2 * (FIELD_MAX + MESSAGE_TEXT_MAX) + 2,
	FRONT_MAX = HEAD_MAX + FIELD_MAX + MESSAGE_TEXT_MAX + FIELD_MAX,
	/*
	 * What the head and the variable bytes leave of a frame, each with its key: type, family,
	 * protocol; addresses; ports; times (varint seconds and fixed32 nanoseconds); then key and
	 * length of zone, query, response, extra and message.
	 */
	FIXED_MAX = 3 * 2 + 2 * 18 + 2 * 4 + 2 * (11 + 5) + 5 * FIELD_MAX,
};

struct encoder {
	Dnstap__Message message; /* with what no message changes already set */
	char identity[MESSAGE_TEXT_MAX + 1];
	char version[MESSAGE_TEXT_MAX + 1];
	size_t head_len;
	uint8_t head[HEAD_MAX]; /* a Dnstap without extra and message, packed */
	/* The Message starts at FRONT_MAX; what stands before it grows towards the front. */
	uint8_t buffer[FRONT_MAX + MESSAGE_FRAME_MAX];
};

_Static_assert((int)MESSAGE_AUTH_QUERY == (int)DNSTAP__MESSAGE__TYPE__AUTH_QUERY &&
		       (int)MESSAGE_UPDATE_RESPONSE == (int)DNSTAP__MESSAGE__TYPE__UPDATE_RESPONSE,
	"enum message_type has the numbers of the schema");

const char *message_type_name(enum message_type type)
{
	static const char *const names[] = {
		[MESSAGE_AUTH_QUERY] = "AUTH_QUERY",
		[MESSAGE_AUTH_RESPONSE] = "AUTH_RESPONSE",
		[MESSAGE_RESOLVER_QUERY] = "RESOLVER_QUERY",
		[MESSAGE_RESOLVER_RESPONSE] = "RESOLVER_RESPONSE",
		[MESSAGE_CLIENT_QUERY] = "CLIENT_QUERY",
		[MESSAGE_CLIENT_RESPONSE] = "CLIENT_RESPONSE",
		[MESSAGE_FORWARDER_QUERY] = "FORWARDER_QUERY",
		[MESSAGE_FORWARDER_RESPONSE] = "FORWARDER_RESPONSE",
		[MESSAGE_STUB_QUERY] = "STUB_QUERY",
		[MESSAGE_STUB_RESPONSE] = "STUB_RESPONSE",
		[MESSAGE_TOOL_QUERY] = "TOOL_QUERY",
		[MESSAGE_TOOL_RESPONSE] = "TOOL_RESPONSE",
		[MESSAGE_UPDATE_QUERY] = "UPDATE_QUERY",
		[MESSAGE_UPDATE_RESPONSE] = "UPDATE_RESPONSE",
	};
	size_t index = (size_t)type;

	return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
}

bool message_text_valid(const char *text)
{
	size_t len = strnlen(text, MESSAGE_TEXT_MAX + 1);

	return len <= MESSAGE_TEXT_MAX && text_is_utf8((const uint8_t *)text, len);
}

/* protobuf-c has no const, but packing only reads. */
static ProtobufCBinaryData binary(const void *at, size_t len)
{
	return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)at, .len = len};
}

static void pack_head(struct encoder *encoder)
{
	Dnstap__Dnstap frame = DNSTAP__DNSTAP__INIT;

	frame.type = DNSTAP__DNSTAP__TYPE__MESSAGE;
	frame.identity = binary(encoder->identity, strlen(encoder->identity));
	frame.has_identity = frame.identity.len > 0;
	frame.version = binary(encoder->version, strlen(encoder->version));
	frame.has_version = frame.version.len > 0;
	encoder->head_len = dnstap__dnstap__pack(&frame, encoder->head);
}

struct encoder *encoder_new(const char *identity, const char *version)
{
	struct encoder *encoder;

	identity = identity ? identity : "";
	version = version ? version : "";
	if (!message_text_valid(identity) || !message_text_valid(version))
		return NULL;
	encoder = malloc(sizeof(*encoder));
	if (!encoder)
		return NULL;
	dnstap__message__init(&encoder->message);
	encoder->message.has_socket_protocol = true;
	memcpy(encoder->identity, identity, strlen(identity) + 1);
	memcpy(encoder->version, version, strlen(version) + 1);
	pack_head(encoder);
	return encoder;
}

void encoder_free(struct encoder *encoder)
{
	free(encoder);
}

const char *encoder_identity(const struct encoder *encoder)
{
	return encoder->identity;
}

const char *encoder_version(const struct encoder *encoder)
{
	return encoder->version;
}

static void fill_endpoints(Dnstap__Message *pb, const struct message *m)
{
	size_t len = family_len(m->family);

	pb->has_socket_family = m->family != 0;
	pb->socket_family = m->family == FAMILY_IPV4 ? DNSTAP__SOCKET_FAMILY__INET
						     : DNSTAP__SOCKET_FAMILY__INET6;
	pb->socket_protocol = m->protocol == IPPROTO_UDP ? DNSTAP__SOCKET_PROTOCOL__UDP
							 : DNSTAP__SOCKET_PROTOCOL__TCP;
	pb->has_query_address = m->query_address != NULL;
	pb->query_address = binary(m->query_address, len);
	pb->has_response_address = m->response_address != NULL;
	pb->response_address = binary(m->response_address, len);
	pb->has_query_port = m->query_port != 0;
	pb->query_port = m->query_port;
	pb->has_response_port = m->response_port != 0;
	pb->response_port = m->response_port;
}

static void fill_times(Dnstap__Message *pb, const struct message *m)
{
	pb->has_query_time_sec = pb->has_query_time_nsec = m->query_time != 0;
	pb->query_time_sec = m->query_time / NS_PER_SECOND;
	pb->query_time_nsec = (uint32_t)(m->query_time % NS_PER_SECOND);
	pb->has_response_time_sec = pb->has_response_time_nsec = m->response_time != 0;
	pb->response_time_sec = m->response_time / NS_PER_SECOND;
	pb->response_time_nsec = (uint32_t)(m->response_time % NS_PER_SECOND);
}

static void fill_bytes(Dnstap__Message *pb, const struct message *m, bool full)
{
	struct bytes query = message_query_bytes(m, full);
	struct bytes response = message_response_bytes(m, full);

	pb->has_query_message = query.at != NULL;
	pb->query_message = binary(query.at, query.len);
	pb->has_response_message = response.at != NULL;
	pb->response_message = binary(response.at, response.len);
	pb->has_query_zone = m->query_zone.at != NULL;
	pb->query_zone = binary(m->query_zone.at, m->query_zone.len);
}

static size_t length_size(size_t len)
{
	return len < 1 << 7 ? 1 : len < 1 << 14 ? 2 : 3;
}

static size_t field_size(size_t len)
{
	return 1 + length_size(len) + len;
}

static bool fits_exactly(const struct encoder *encoder, size_t extra_len)
{
	size_t len = encoder->head_len + (extra_len ? field_size(extra_len) : 0);

	return len + field_size(dnstap__message__get_packed_size(&encoder->message)) <=
	       MESSAGE_FRAME_MAX;
}

/* Whether the frame fits, if need be without the query's copy. */
static bool make_fit(struct encoder *encoder, const struct message *m, size_t extra_len)
{
	Dnstap__Message *pb = &encoder->message;
	size_t bound = FIXED_MAX + encoder->head_len + extra_len + m->query_zone.len +
		       pb->query_message.len + pb->response_message.len;

	if (bound <= MESSAGE_FRAME_MAX || fits_exactly(encoder, extra_len))
		return true;
	if (message_is_query(m) || !pb->has_query_message)
		return false;
	pb->has_query_message = false;
	return fits_exactly(encoder, extra_len);
}

/* Writes a field's key and length to the bytes that end at `at`; returns where they start. */
static uint8_t *prepend_length(uint8_t *at, uint8_t key, size_t len)
{
	size_t size = length_size(len);
	size_t i;

	at -= size;
	for (i = 0; i + 1 < size; i++, len >>= 7)
		at[i] = (uint8_t)(len | 0x80);
	at[i] = (uint8_t)len;
	*--at = key;
	return at;
}

static uint8_t *prepend(uint8_t *at, const void *bytes, size_t len)
{
	return memcpy(at - len, bytes, len);
}

struct bytes encoder_encode(struct encoder *encoder, const struct message *m, bool full)
{
	uint8_t *at = encoder->buffer + FRONT_MAX;
	size_t extra_len = m->extra.at ? m->extra.len : 0;
	size_t len;

	encoder->message.type = (Dnstap__Message__Type)m->type;
	fill_endpoints(&encoder->message, m);
	fill_times(&encoder->message, m);
	fill_bytes(&encoder->message, m, full);
	if (extra_len > MESSAGE_TEXT_MAX || !make_fit(encoder, m, extra_len))
		return (struct bytes){0};

	len = dnstap__message__pack(&encoder->message, at);
	at = prepend_length(at, KEY_MESSAGE, len);
	if (extra_len) {
		at = prepend(at, m->extra.at, extra_len);
		at = prepend_length(at, KEY_EXTRA, extra_len);
	}
	at = prepend(at, encoder->head, encoder->head_len);
	len += (size_t)(encoder->buffer + FRONT_MAX - at);
	return (struct bytes){.at = at, .len = len};
}
