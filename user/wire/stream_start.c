/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/stream_start.h"

#include <stdbool.h>

#include "base/cursor.h"
#include "wire/dns.h"

enum {
	PREFIX_LEN = 2,
	LABEL_MAX = 63,
	POINTER = 0xc0,     /* RFC 1035, 4.1.4 */
	RESERVED = 0x40,    /* of the header's byte 3; the one bit nobody ever assigned */
	OPCODE_DSO = 6,     /* the last one assigned */
	OPCODE_UNASSIGNED = 3,
	TYPE_OPT = 41,
};
/* RFC 1035, 3.2.4 and 3.2.5; RFC 2136, 2.4 */
enum { CLASS_IN = 1, CLASS_CH = 3, CLASS_HS = 4, CLASS_NONE = 254, CLASS_ANY = 255 };

/* False when it cannot be a name; one that the bytes end in sets c->failed. */
static bool walk_name(struct cursor *c, const uint8_t *message)
{
	uint32_t before = (uint32_t)(c->at - message);
	uint32_t len = 0;
	uint8_t label;

	do {
		label = cursor_u8(c);
		if (label >= POINTER) {
			uint32_t target = (label & ~POINTER & 0xffU) << 8 | cursor_u8(c);

			return c->failed || (target >= DNS_HEADER_LEN && target < before);
		}
		len += 1U + label;
		if (label > LABEL_MAX || len > DNS_NAME_MAX)
			return false;
		cursor_take(c, label);
	} while (label && !c->failed);
	return true;
}

static bool class_usual(uint16_t class)
{
	return class == CLASS_IN || class == CLASS_CH || class == CLASS_HS ||
		class == CLASS_NONE || class == CLASS_ANY;
}

/* Type and class of a question or record; OPT has the sender's buffer size for a class. */
static bool walk_type(struct cursor *c)
{
	uint16_t type = cursor_be16(c);
	uint16_t class = cursor_be16(c);

	return c->failed || (type && (type == TYPE_OPT || class_usual(class)));
}

static bool walk_rdata(struct cursor *c, const struct dns *dns)
{
	uint32_t len;

	cursor_be32(c); /* TTL */
	len = cursor_be16(c);
	if (c->failed)
		return true;
	if ((uint32_t)(c->at - dns->bytes) + len > dns->len)
		return false;
	cursor_take(c, len);
	return true;
}

/* work grows with the names and records walked through. */
static enum stream_start walk(const struct dns *dns, uint32_t *work)
{
	uint32_t records = (uint32_t)dns->ancount + dns->nscount + dns->arcount;
	struct cursor c = cursor_over(dns->bytes, dns->have);

	cursor_take(&c, DNS_HEADER_LEN);
	for (uint32_t i = 0; i < dns->qdcount + records && !c.failed; i++) {
		const uint8_t *name = c.at;

		if (!walk_name(&c, dns->bytes))
			return STREAM_START_NO;
		*work += (uint32_t)(c.at - name) + 1;
		if (!walk_type(&c) || (i >= dns->qdcount && !walk_rdata(&c, dns)))
			return STREAM_START_NO;
	}
	if (c.failed)
		return dns->have < dns->len ? STREAM_START_MAYBE : STREAM_START_NO;
	return (uint32_t)(c.at - dns->bytes) == dns->len ? STREAM_START_YES : STREAM_START_NO;
}

static bool header_usual(const struct dns *dns)
{
	if (dns->tc || dns->bytes[3] & RESERVED)
		return false;
	if (dns->opcode > OPCODE_DSO || dns->opcode == OPCODE_UNASSIGNED)
		return false;
	return dns->qdcount <= 1 && (dns->qdcount || dns->ancount || dns->nscount || dns->arcount);
}

enum stream_start stream_start_one(
	const uint8_t *bytes, uint32_t have, uint32_t *ret_len, uint32_t *work)
{
	enum dns_result result;
	struct dns dns;
	uint32_t len;

	if (have < PREFIX_LEN)
		return STREAM_START_MAYBE;
	len = (uint32_t)bytes[0] << 8 | bytes[1];
	have -= PREFIX_LEN;
	result = dns_parse(bytes + PREFIX_LEN, have < len ? have : len, len, &dns);
	if (result == DNS_SHORT || result == DNS_MALFORMED)
		return STREAM_START_NO;
	if (have < DNS_HEADER_LEN)
		return STREAM_START_MAYBE;
	if (!header_usual(&dns))
		return STREAM_START_NO;
	*ret_len = PREFIX_LEN + len;
	return walk(&dns, work);
}

enum stream_start stream_start(const uint8_t *bytes, uint32_t have)
{
	enum stream_start first;
	uint32_t len = 0, behind = 0, work = 0;

	first = stream_start_one(bytes, have, &len, &work);
	if (first != STREAM_START_YES || len == have)
		return first;
	return stream_start_one(bytes + len, have - len, &behind, &work) ? STREAM_START_YES :
									   STREAM_START_NO;
}
