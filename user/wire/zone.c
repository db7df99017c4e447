/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/zone.h"

#include <string.h>

#include "base/cursor.h"
#include "wire/name.h"
#include "wire/sections.h"

enum { TYPE_NS = 2, TYPE_SOA = 6, LABEL_MAX = 63, POINTER = 0xc0, POINTER_TARGET = 0x3fff };

/* Labels and jumps of one name: 128 labels at most, and as many jumps as any encoder makes. */
enum { STEPS_MAX = 256 };

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

static uint32_t authority_owner(const struct dns *dns, uint8_t name[static DNS_NAME_MAX])
{
	struct cursor c = sections_open(dns);
	struct sections_record r;

	sections_skip(dns, &c, dns->ancount);
	for (unsigned i = 0; i < dns->nscount && !c.failed; i++) {
		sections_next(dns, &c, &r);
		if (!c.failed && (r.type == TYPE_SOA || (r.type == TYPE_NS && dns->aa)))
			return read_name(dns, r.owner, name);
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
	return len && name_is_below(dns->qname, dns->qname_len, name, len) ? len : 0;
}
