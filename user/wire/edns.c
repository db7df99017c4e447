/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/edns.h"

#include "wire/sections.h"

enum { TYPE_OPT = 41 };

uint16_t edns_rcode(const struct dns *dns)
{
	struct sections_record record;
	struct cursor c;

	if (!dns->arcount)
		return dns->rcode;
	c = sections_open(dns);
	sections_skip(dns, &c, (unsigned)dns->ancount + dns->nscount);
	for (unsigned i = 0; i < dns->arcount && !c.failed; i++) {
		sections_next(dns, &c, &record);
		if (!c.failed && record.type == TYPE_OPT && !dns->bytes[record.owner])
			return (uint16_t)(record.ttl >> 24 << 4 | dns->rcode);
	}
	return dns->rcode;
}
