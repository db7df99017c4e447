/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A dnstap message and its encoding: one protobuf `Dnstap` frame (proto/dnstap.proto, protobuf-c).
 *
 * An encoder owns one output buffer and what is the same in every frame: identity, version and
 * type are packed once, by encoder_new. A frame is then one pass of protobuf-c over the inner
 * Message, with those bytes put in front of it: no second pass for the size, no allocation. That
 * the frame fits is known before from the lengths; only near the limit is it counted exactly.
 *
 * A frame is at most MESSAGE_FRAME_MAX bytes, the smallest limit among the collectors
 * (golang-dnstap); over it the query's copy in a response is left out first, and if that does not
 * help nothing is encoded. One encoder, one thread.
 */
#ifndef DNSTAP_MESSAGE_H
#define DNSTAP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/dns.h"

enum { MESSAGE_FRAME_MAX = 96 * 1024, MESSAGE_TEXT_MAX = 1024 /* of identity, version, extra */ };

/* dnstap.proto, Message.Type. Odd is a query, even the response to it. */
enum message_type {
	MESSAGE_AUTH_QUERY = 1,
	MESSAGE_AUTH_RESPONSE,
	MESSAGE_RESOLVER_QUERY,
	MESSAGE_RESOLVER_RESPONSE,
	MESSAGE_CLIENT_QUERY,
	MESSAGE_CLIENT_RESPONSE,
	MESSAGE_FORWARDER_QUERY,
	MESSAGE_FORWARDER_RESPONSE,
	MESSAGE_STUB_QUERY,
	MESSAGE_STUB_RESPONSE,
	MESSAGE_TOOL_QUERY,
	MESSAGE_TOOL_RESPONSE,
	MESSAGE_UPDATE_QUERY,
	MESSAGE_UPDATE_RESPONSE,
};

struct bytes {
	const uint8_t *at; /* NULL: absent */
	size_t len;
};

/* query_* is the initiator, response_* the responder, whatever the message's own direction. */
struct message {
	enum message_type type;
	uint8_t family;   /* FAMILY_IPV4 or FAMILY_IPV6; 0: unknown, and no addresses */
	uint8_t protocol; /* IPPROTO_UDP or IPPROTO_TCP */
	const uint8_t *query_address, *response_address; /* 4 or 16 bytes; NULL: absent */
	uint16_t query_port, response_port;              /* 0: absent */
	uint64_t query_time, response_time;              /* wall ns; 0: absent */
	struct bytes query, response;                    /* wire format; both may be given */
	struct bytes query_zone;                         /* wire-format name */
	struct bytes extra;    /* valid UTF-8, at most MESSAGE_TEXT_MAX bytes */
	const struct dns *dns; /* the parsed message, for lines; NULL: unknown */
};

static inline bool message_is_query(const struct message *m)
{
	return m->type & 1;
}

/* The wire bytes that a frame or line carries: a response may have its query with it. */
static inline struct bytes message_query_bytes(const struct message *m, bool full)
{
	return full ? m->query : (struct bytes){0};
}

static inline struct bytes message_response_bytes(const struct message *m, bool full)
{
	return full && !message_is_query(m) ? m->response : (struct bytes){0};
}

/* "CLIENT_QUERY" and so on; NULL outside the enum. */
const char *message_type_name(enum message_type type);

/*
 * Whether text may be an identity, version or extra: at most MESSAGE_TEXT_MAX bytes, and valid
 * UTF-8, because there are collectors that lose the field otherwise (Vector).
 */
bool message_text_valid(const char *text);

struct encoder;

/*
 * identity and version may be NULL or empty: absent. Copied. NULL without memory, or when one of
 * them is not a message_text_valid: who takes them from the user asks first, and says which.
 */
struct encoder *encoder_new(const char *identity, const char *version);
void encoder_free(struct encoder *encoder);
/* As given to encoder_new; "" when absent. */
const char *encoder_identity(const struct encoder *encoder);
const char *encoder_version(const struct encoder *encoder);

/*
 * Encodes m, with the wire bytes if full. Returns the frame, valid until the next call, or a NULL
 * `at` if it would be larger than MESSAGE_FRAME_MAX or extra is larger than MESSAGE_TEXT_MAX.
 */
struct bytes encoder_encode(struct encoder *encoder, const struct message *m, bool full);

#endif
