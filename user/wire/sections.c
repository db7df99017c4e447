/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/sections.h"

enum { LABEL_MAX = 63, POINTER = 0xc0, QUESTION_END_LEN = 4 /* type, class */ };

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

struct cursor sections_open(const struct dns *dns)
{
	struct cursor c = cursor_over(dns->bytes, dns->have);

	cursor_take(&c, DNS_HEADER_LEN);
	for (unsigned i = 0; i < dns->qdcount && !c.failed; i++) {
		skip_name(&c);
		cursor_take(&c, QUESTION_END_LEN);
	}
	return c;
}

void sections_next(const struct dns *dns, struct cursor *c, struct sections_record *ret)
{
	ret->owner = (uint32_t)(c->at - dns->bytes);
	skip_name(c);
	ret->type = cursor_be16(c);
	ret->class = cursor_be16(c);
	ret->ttl = cursor_be32(c);
	cursor_take(c, cursor_be16(c));
}

void sections_skip(const struct dns *dns, struct cursor *c, unsigned records)
{
	struct sections_record record;

	for (unsigned i = 0; i < records && !c->failed; i++)
		sections_next(dns, c, &record);
}
