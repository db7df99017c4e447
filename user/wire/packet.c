/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/packet.h"

#include <netinet/in.h>
#include <string.h>

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_8021Q = 0x8100,
	ETHERTYPE_8021AD = 0x88a8,
	TAG_LEN = 4,
	TAG_VID = 0x0fff,
};

enum {
	IPV4_LEN_MIN = 20,
	IPV4_MORE = 0x2000,
	IPV4_OFFSET = 0x1fff, /* in units of 8 bytes */
	IPV6_LEN = 40,
	IPV6_MORE = 0x0001,
	IPV6_OFFSET = 0xfff8,
	EXTENSION_LEN_MIN = 8, /* of each extension header, the fragment header's length too */
	UDP_LEN = 8,
	TCP_LEN_MIN = 20,
};

/* Not in netinet/in.h (RFC 7401, RFC 5533). */
enum { PROTOCOL_HIP = 139, PROTOCOL_SHIM6 = 140 };

/* What is left of the packet: have bytes are here, len were on the wire; have <= len. */
struct rest {
	const uint8_t *at;
	uint32_t have, len;
};

static uint16_t be16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static uint32_t be32(const uint8_t *b)
{
	return (uint32_t)be16(b) << 16 | be16(b + 2);
}

static enum packet_result need(const struct rest *r, uint32_t len)
{
	if (len > r->len)
		return PACKET_MALFORMED;
	return len > r->have ? PACKET_TRUNCATED : PACKET_OK;
}

static void step(struct rest *r, uint32_t len)
{
	r->at += len;
	r->have -= len;
	r->len -= len;
}

static void cut(struct rest *r, uint32_t len)
{
	r->len = len;
	if (r->have > len)
		r->have = len;
}

static void set_ports(struct packet *ret, uint8_t protocol, const uint8_t *ports)
{
	ret->flow.protocol = protocol;
	ret->flow.src_port = be16(ports);
	ret->flow.dst_port = be16(ports + 2);
}

static enum packet_result parse_udp(struct rest *r, struct packet *ret)
{
	enum packet_result result = need(r, UDP_LEN);
	uint32_t len;

	if (result)
		return result;
	len = be16(r->at + 4);
	if (!len && (ret->gso_size || r->len > UINT16_MAX))
		len = r->len;
	if (len < UDP_LEN || len > r->len)
		return PACKET_MALFORMED;
	ret->kind = PACKET_DATAGRAM;
	set_ports(ret, IPPROTO_UDP, r->at);
	cut(r, len);
	step(r, UDP_LEN);
	return PACKET_OK;
}

static enum packet_result parse_tcp(struct rest *r, struct packet *ret)
{
	enum packet_result result = need(r, TCP_LEN_MIN);
	uint32_t header;

	if (result)
		return result;
	header = (r->at[12] >> 4) * 4U;
	if (header < TCP_LEN_MIN)
		return PACKET_MALFORMED;
	result = need(r, header);
	if (result)
		return result;
	ret->kind = PACKET_SEGMENT;
	set_ports(ret, IPPROTO_TCP, r->at);
	ret->seq = be32(r->at + 4);
	ret->ack = be32(r->at + 8);
	ret->tcp_flags = r->at[13];
	step(r, header);
	return PACKET_OK;
}

static bool is_extension(uint8_t family, uint8_t next)
{
	switch (next) {
	case IPPROTO_AH:
		return true;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
	case PROTOCOL_HIP:
	case PROTOCOL_SHIM6:
		return family == FAMILY_IPV6;
	default:
		return false;
	}
}

static uint32_t extension_len(uint8_t type, uint8_t len_field)
{
	if (type == IPPROTO_FRAGMENT)
		return EXTENSION_LEN_MIN;
	return type == IPPROTO_AH ? (len_field + 2U) * 4 : (len_field + 1U) * 8;
}

static enum packet_result step_extension(struct rest *r, uint8_t *next)
{
	enum packet_result result = need(r, EXTENSION_LEN_MIN);
	uint32_t len;

	if (result)
		return result;
	len = extension_len(*next, r->at[1]);
	result = need(r, len);
	if (result)
		return result;
	*next = r->at[0];
	step(r, len);
	return PACKET_OK;
}

/* Takes the rest for a fragment's payload if its header says so, else (atomic) leaves it. */
static bool take_ipv6_fragment(struct rest *r, struct packet *ret)
{
	uint16_t where;

	if (need(r, EXTENSION_LEN_MIN))
		return false;
	where = be16(r->at + 2);
	if (!(where & (IPV6_OFFSET | IPV6_MORE)))
		return false;
	ret->kind = PACKET_FRAGMENT;
	ret->fragment_id = be32(r->at + 4);
	ret->fragment_offset = where & IPV6_OFFSET;
	ret->fragment_more = where & IPV6_MORE;
	ret->fragment_next = r->at[0];
	step(r, EXTENSION_LEN_MIN);
	return true;
}

/* From the first header behind IP to the payload. */
static enum packet_result parse_chain(struct rest *r, uint8_t next, struct packet *ret)
{
	for (unsigned extensions = 0;; extensions++) {
		enum packet_result result;

		if (next == IPPROTO_UDP)
			return parse_udp(r, ret);
		if (next == IPPROTO_TCP)
			return parse_tcp(r, ret);
		if (extensions == PACKET_EXTENSIONS_MAX || !is_extension(ret->flow.family, next))
			return PACKET_OTHER;
		if (next == IPPROTO_FRAGMENT && take_ipv6_fragment(r, ret))
			return PACKET_OK;
		result = step_extension(r, &next);
		if (result)
			return result;
	}
}

/* The total length of the packet whose IPv4 header starts here; 0: its fields do not fit. */
static uint32_t ipv4_total(const struct rest *r, uint16_t gso_size)
{
	uint32_t header = (r->at[0] & 0x0f) * 4U;
	uint32_t total = be16(r->at + 2);

	/* Coalesced TCP longer than the field; captures by others do not tell the gso_size. */
	if (!total && (gso_size || r->len > UINT16_MAX))
		total = r->len;
	if (r->at[0] >> 4 != 4 || header < IPV4_LEN_MIN || total < header || total > r->len)
		return 0;
	return total;
}

/* The same for IPv6; it reads the first 6 bytes. */
static uint32_t ipv6_total(const struct rest *r, uint16_t gso_size)
{
	uint32_t total = IPV6_LEN + be16(r->at + 4);

	if (total == IPV6_LEN && (gso_size || r->len > IPV6_LEN + UINT16_MAX))
		total = r->len;
	return r->at[0] >> 4 == 6 && total <= r->len ? total : 0;
}

static enum packet_result parse_ipv4(struct rest *r, struct packet *ret)
{
	enum packet_result result = need(r, IPV4_LEN_MIN);
	const uint8_t *ip = r->at;
	uint32_t total, header;
	uint16_t where;

	if (result)
		return result;
	total = ipv4_total(r, ret->gso_size);
	if (!total)
		return PACKET_MALFORMED;
	header = (ip[0] & 0x0f) * 4U;
	result = need(r, header);
	if (result)
		return result;
	ret->flow.family = FAMILY_IPV4;
	memcpy(ret->flow.src, ip + 12, 4);
	memcpy(ret->flow.dst, ip + 16, 4);
	cut(r, total);
	step(r, header);
	where = be16(ip + 6);
	if (!(where & (IPV4_MORE | IPV4_OFFSET)))
		return parse_chain(r, ip[9], ret);
	ret->kind = PACKET_FRAGMENT;
	ret->fragment_id = be16(ip + 4);
	ret->fragment_offset = (uint16_t)((where & IPV4_OFFSET) * 8);
	ret->fragment_more = where & IPV4_MORE;
	ret->fragment_next = ip[9];
	return PACKET_OK;
}

static enum packet_result parse_ipv6(struct rest *r, struct packet *ret)
{
	enum packet_result result = need(r, IPV6_LEN);
	const uint8_t *ip = r->at;
	uint32_t total;

	if (result)
		return result;
	total = ipv6_total(r, ret->gso_size);
	if (!total)
		return PACKET_MALFORMED;
	ret->flow.family = FAMILY_IPV6;
	memcpy(ret->flow.src, ip + 8, 16);
	memcpy(ret->flow.dst, ip + 24, 16);
	cut(r, total);
	step(r, IPV6_LEN);
	return parse_chain(r, ip[6], ret);
}

static bool is_tag(uint16_t ethertype)
{
	return ethertype == ETHERTYPE_8021Q || ethertype == ETHERTYPE_8021AD;
}

/* Under a tag's ethertype: the ethertype of the IP header, stepping over the tags before it. */
static enum packet_result skip_tags(struct rest *r, uint16_t *ethertype, struct packet *ret)
{
	enum packet_result result = need(r, IPV4_LEN_MIN);

	if (result)
		return result;
	if (ipv4_total(r, ret->gso_size)) {
		*ethertype = ETHERTYPE_IPV4;
	} else if (ipv6_total(r, ret->gso_size)) {
		*ethertype = ETHERTYPE_IPV6;
	}
	while (is_tag(*ethertype) && ret->tag_count < PACKET_TAGS_MAX) {
		result = need(r, TAG_LEN);
		if (result)
			return result;
		ret->tags[ret->tag_count++] = be16(r->at) & TAG_VID;
		*ethertype = be16(r->at + 2);
		step(r, TAG_LEN);
	}
	return PACKET_OK;
}

static enum packet_result parse_network(struct rest *r, uint16_t ethertype, struct packet *ret)
{
	if (is_tag(ethertype)) {
		enum packet_result result = skip_tags(r, &ethertype, ret);

		if (result)
			return result;
	}
	if (ethertype == ETHERTYPE_IPV4)
		return parse_ipv4(r, ret);
	return ethertype == ETHERTYPE_IPV6 ? parse_ipv6(r, ret) : PACKET_OTHER;
}

static void set_payload(struct packet *ret, const struct rest *r)
{
	ret->payload = r->at;
	ret->payload_have = r->have;
	ret->payload_len = r->len;
}

enum packet_result packet_parse(
	const uint8_t *bytes, const struct packet_source *source, struct packet *ret)
{
	struct rest r = {.at = bytes, .have = source->have};
	enum packet_result result;

	cut(&r, source->wire);
	memset(ret, 0, sizeof(*ret));
	ret->gso_size = source->gso_size;
	result = parse_network(&r, source->ethertype, ret);
	set_payload(ret, &r);
	return result;
}

enum packet_result packet_parse_payload(
	uint8_t next, const uint8_t *bytes, uint32_t len, struct packet *ret)
{
	struct rest r = {.at = bytes, .have = len, .len = len};
	enum packet_result result;

	result = parse_chain(&r, next, ret);
	set_payload(ret, &r);
	if (result == PACKET_OK && ret->kind == PACKET_FRAGMENT)
		return PACKET_MALFORMED;
	return result;
}
