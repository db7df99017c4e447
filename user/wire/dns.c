/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/dns.h"

#include <string.h>

enum {
	LABEL_MAX = 63,       /* above it stand compression and what was never assigned */
	QUESTION_LEN_MIN = 5, /* the root's name, type, class */
	RECORD_LEN_MIN = 11,  /* the root's name, type, class, TTL, length */
	QUESTION_END_LEN = 4, /* type and class */
};

static uint16_t be16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static void parse_header(struct dns *dns)
{
	const uint8_t *b = dns->bytes;

	dns->id = be16(b);
	dns->qr = b[2] & 0x80;
	dns->opcode = b[2] >> 3 & 0x0f;
	dns->aa = b[2] & 0x04;
	dns->tc = b[2] & 0x02;
	dns->rd = b[2] & 0x01;
	dns->ra = b[3] & 0x80;
	dns->rcode = b[3] & 0x0f;
	dns->qdcount = be16(b + 4);
	dns->ancount = be16(b + 6);
	dns->nscount = be16(b + 8);
	dns->arcount = be16(b + 10);
}

/* A server that truncates may leave the counts of the whole answer standing. */
static bool counts_fit(const struct dns *dns)
{
	uint32_t records = (uint32_t)dns->ancount + dns->nscount + dns->arcount;
	uint32_t questions = dns->qdcount;
	uint32_t room = dns->len - DNS_HEADER_LEN;

	return dns->tc || QUESTION_LEN_MIN * questions + RECORD_LEN_MIN * records <= room;
}

/* What it means that byte `at` of the message is not here. */
static enum dns_result missing(const struct dns *dns, uint32_t at)
{
	return at < dns->len ? DNS_TRUNCATED : DNS_MALFORMED;
}

static enum dns_result parse_question(struct dns *dns)
{
	const uint8_t *name = dns->bytes + DNS_HEADER_LEN;
	uint32_t have = dns->have - DNS_HEADER_LEN;
	uint32_t at = 0;
	uint8_t label;

	do {
		if (at >= have)
			return missing(dns, DNS_HEADER_LEN + at);
		label = name[at];
		at += 1U + label;
		if (label > LABEL_MAX || at > DNS_NAME_MAX)
			return DNS_MALFORMED;
	} while (label);
	if (at + QUESTION_END_LEN > have)
		return missing(dns, DNS_HEADER_LEN + at + QUESTION_END_LEN - 1);
	dns->qname = name;
	dns->qname_len = (uint8_t)at;
	dns->qtype = be16(name + at);
	dns->qclass = be16(name + at + 2);
	return DNS_OK;
}

enum dns_result dns_parse(const uint8_t *bytes, uint32_t have, uint32_t len, struct dns *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->bytes = bytes;
	ret->have = have;
	ret->len = len;
	if (len < DNS_HEADER_LEN)
		return DNS_SHORT;
	if (have < DNS_HEADER_LEN)
		return DNS_TRUNCATED;
	parse_header(ret);
	if (!counts_fit(ret))
		return DNS_MALFORMED;
	return ret->qdcount ? parse_question(ret) : DNS_OK;
}

/* Without a branch, so that it costs the same for 0x20-randomised names as for others. */
static uint8_t lower(uint8_t c)
{
	return (uint8_t)(c | ((uint8_t)(c - 'A') < 26) << 5);
}

uint32_t dns_question_key(const struct dns *dns, uint8_t key[static DNS_NAME_MAX + 4])
{
	uint32_t name_len = dns->qname_len;

	if (!dns->qname)
		return 0;
	/* A label's length is at most 63 and so never taken for a letter: 'A' is 65. */
	for (uint32_t i = 0; i < name_len; i++)
		key[i] = lower(dns->qname[i]);
	memcpy(key + name_len, dns->qname + name_len, QUESTION_END_LEN);
	return name_len + QUESTION_END_LEN;
}

bool dns_is_transfer(const struct dns *dns)
{
	return dns->qname && dns->opcode == DNS_OPCODE_QUERY &&
		(dns->qtype == DNS_TYPE_AXFR || dns->qtype == DNS_TYPE_IXFR);
}
