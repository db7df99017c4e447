/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header and the first question of a DNS message (RFC 1035, 4.1), which is all that pairing
 * queries with responses needs. Pure: it reads the caller's bytes and keeps pointers into them.
 *
 * What counts as a DNS message: a whole 12-byte header; at least one question's name that is
 * made of uncompressed labels of together at most 255 bytes, with type and class, unless QDCOUNT
 * is 0; and, unless TC is set, counts that the length can hold at all (5 bytes a question, 11 a
 * resource record). The rest of the sections is not looked at: a message a server would answer
 * with FORMERR is still a message.
 */
#ifndef WIRE_DNS_H
#define WIRE_DNS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	DNS_HEADER_LEN = 12,
	DNS_NAME_MAX = 255,                                     /* RFC 1035, 2.3.4 */
	DNS_CLAMP_LEN = DNS_HEADER_LEN + DNS_NAME_MAX + 4,      /* header and any question */
	DNS_MESSAGE_MAX = 65535,
};

enum dns_opcode { DNS_OPCODE_QUERY = 0, DNS_OPCODE_NOTIFY = 4, DNS_OPCODE_UPDATE = 5 };
enum dns_rcode {
	DNS_RCODE_NOERROR = 0,
	DNS_RCODE_FORMERR = 1,
	DNS_RCODE_SERVFAIL = 2,
	DNS_RCODE_NXDOMAIN = 3,
	DNS_RCODE_NOTIMP = 4,
	DNS_RCODE_REFUSED = 5,
};
enum { DNS_TYPE_IXFR = 251, DNS_TYPE_AXFR = 252 };

enum dns_result {
	DNS_OK,
	DNS_SHORT,     /* less than a header on the wire */
	DNS_TRUNCATED, /* the capture holds too little of it to tell */
	DNS_MALFORMED, /* not a DNS message */
};

struct dns {
	const uint8_t *bytes;  /* the message; have bytes of it are here, len were on the wire */
	uint32_t have, len;
	uint16_t id;
	uint8_t opcode, rcode; /* rcode: the header's 4 bits */
	bool qr, aa, tc, rd, ra;
	uint16_t qdcount, ancount, nscount, arcount;
	const uint8_t *qname;  /* uncompressed, with the root label; NULL: no question */
	uint8_t qname_len;     /* 1 to 255 */
	uint16_t qtype, qclass;
};

/* ret is whole only with DNS_OK. have <= len <= DNS_MESSAGE_MAX is the caller's to keep. */
enum dns_result dns_parse(const uint8_t *bytes, uint32_t have, uint32_t len, struct dns *ret);

/*
 * The question in lower case, name, type and class, for comparing without case (RFC 4343):
 * returns its length, at most DNS_NAME_MAX + 4; 0 without a question.
 */
uint32_t dns_question_key(const struct dns *dns, uint8_t key[static DNS_NAME_MAX + 4]);

/* AXFR or IXFR: one query, many responses on one connection (RFC 5936, RFC 1995). */
bool dns_is_transfer(const struct dns *dns);

#endif
