/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/zone.h"

#include <string.h>

#include "base/cursor.h"

enum { TYPE_NS = 2, TYPE_SOA = 6, LABEL_MAX = 63, POINTER = 0xc0, POINTER_TARGET = 0x3fff };

/* Labels and jumps of one name: 128 labels at most, and as many jumps as any encoder makes. */
enum { STEPS_MAX = 256 };

/* Leaves the cursor behind a name; where its labels end in a pointer, behind that. */
static void skip_name(struct cursor *c)
{
	uint8_t label;

	while ((label = cursor_u8(c)) && label <= LABEL_MAX)
		cursor_take(c, label);
	if (label >= POINTER)
		cursor_u8(c);
	else if (label)
		c->failed = true;
}

/* Follows a pointer whose first byte was read: backwards from limit only. */
static bool jump(const struct dns *dns, struct cursor *c, uint8_t first, uint32_t *limit)
{
	uint32_t target = (uint32_t)(first << 8 | cursor_u8(c)) & POINTER_TARGET;

	if (c->failed || target >= *limit)
		return false;
	*limit = target;
	c->at = dns->bytes + target;
	return true;
}

/* The name that begins at byte `at`, uncompressed. Returns its length, 0 where it is none. */
static uint32_t read_name(const struct dns *dns, uint32_t at, uint8_t name[static DNS_NAME_MAX])
{
	struct cursor c = cursor_over(dns->bytes, dns->have);
	uint32_t len = 0, limit = at;

	cursor_take(&c, at);
	for (int steps = 0; steps < STEPS_MAX; steps++) {
		uint8_t label = cursor_u8(&c);
		const uint8_t *text;

		if (label >= POINTER) {
			if (!jump(dns, &c, label, &limit))
				return 0;
			continue;
		}
		text = cursor_take(&c, label);
		if (!text || label > LABEL_MAX || len + 1 + label > DNS_NAME_MAX)
			return 0;
		name[len] = label;
		memcpy(name + len + 1, text, label);
		len += 1U + label;
		if (!label)
			return len;
	}
	return 0;
}

/* Leaves the cursor behind a resource record; returns its type. */
static uint16_t skip_record(struct cursor *c)
{
	uint16_t type;

	skip_name(c);
	type = cursor_be16(c);
	cursor_take(c, 6); /* class, TTL */
	cursor_take(c, cursor_be16(c));
	return type;
}

static void skip_questions(const struct dns *dns, struct cursor *c)
{
	for (unsigned i = 0; i < dns->qdcount && !c->failed; i++) {
		skip_name(c);
		cursor_take(c, 4); /* type, class */
	}
}

/* ASCII letters only (RFC 4343); a label's length is below 'A' and stays as it is. */
static uint8_t lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 'a' - 'A') : byte;
}

/* True when zone is name or one of its parents. Both uncompressed. */
static bool is_below(const uint8_t *name, uint32_t name_len, const uint8_t *zone, uint32_t zone_len)
{
	while (name_len > zone_len) {
		name_len -= 1U + *name;
		name += 1 + *name;
	}
	if (name_len != zone_len)
		return false;
	for (uint32_t i = 0; i < zone_len; i++)
		if (lower(name[i]) != lower(zone[i]))
			return false;
	return true;
}

static uint32_t authority_owner(const struct dns *dns, uint8_t name[static DNS_NAME_MAX])
{
	struct cursor c = cursor_over(dns->bytes, dns->have);

	cursor_take(&c, DNS_HEADER_LEN);
	skip_questions(dns, &c);
	for (unsigned i = 0; i < dns->ancount && !c.failed; i++)
		skip_record(&c);
	for (unsigned i = 0; i < dns->nscount && !c.failed; i++) {
		uint32_t owner = (uint32_t)(c.at - dns->bytes);
		uint16_t type = skip_record(&c);

		if (!c.failed && (type == TYPE_SOA || (type == TYPE_NS && dns->aa)))
			return read_name(dns, owner, name);
	}
	return 0;
}

uint32_t zone_of(const struct dns *dns, uint8_t name[static DNS_NAME_MAX])
{
	uint32_t len;

	if (!dns->qname)
		return 0;
	if (dns->opcode == DNS_OPCODE_UPDATE) {
		memcpy(name, dns->qname, dns->qname_len);
		return dns->qname_len;
	}
	len = dns->qr ? authority_owner(dns, name) : 0;
	return len && is_below(dns->qname, dns->qname_len, name, len) ? len : 0;
}
