/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire/packet: u16 ethertype, u16 gso size, u16 bytes that the capture cut off, u16 a place to cut
 * at, then the packet; its payload is parsed once more as a reassembled one would be.
 */
#include "fuzz.h"
#include "wire/packet.h"

static void check_flow(const struct packet *p, const uint8_t *bytes, uint32_t have)
{
	static const uint8_t zero[12];
	size_t len = family_len(p->flow.family);

	FUZZ_CHECK(p->flow.family == FAMILY_IPV4 || p->flow.family == FAMILY_IPV6);
	FUZZ_CHECK(memmem(bytes, have, p->flow.src, len));
	FUZZ_CHECK(memmem(bytes, have, p->flow.dst, len));
	if (p->flow.family == FAMILY_IPV4) {
		FUZZ_CHECK(!memcmp(p->flow.src + 4, zero, 12));
		FUZZ_CHECK(!memcmp(p->flow.dst + 4, zero, 12));
	}
	if (p->kind == PACKET_FRAGMENT) {
		FUZZ_CHECK(!p->flow.src_port && !p->flow.dst_port && !p->flow.protocol);
		FUZZ_CHECK(p->fragment_offset || p->fragment_more);
	}
}

static void check_payload(
	const struct packet *p, const uint8_t *bytes, uint32_t have, uint32_t wire)
{
	uint32_t at = (uint32_t)(p->payload - bytes);

	FUZZ_CHECK(p->payload >= bytes && at <= have);
	FUZZ_CHECK(p->payload_have <= have - at);
	FUZZ_CHECK(p->payload_len <= wire - at);
	FUZZ_CHECK(p->payload_have <= p->payload_len);
	FUZZ_CHECK(p->tag_count <= PACKET_TAGS_MAX);
}

static uint32_t be16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

/* What stands behind the end that IP or UDP tells is padding. */
static void check_lengths(const struct packet *p, const uint8_t *bytes, uint16_t ethertype)
{
	uint32_t at = (uint32_t)(p->payload - bytes);

	if (ethertype == 0x0800 && be16(bytes + 2))
		FUZZ_CHECK(at + p->payload_len <= be16(bytes + 2));
	if (ethertype == 0x86dd && be16(bytes + 4))
		FUZZ_CHECK(at + p->payload_len <= 40 + be16(bytes + 4));
	if (p->kind == PACKET_DATAGRAM && be16(p->payload - 4))
		FUZZ_CHECK(p->payload_len == be16(p->payload - 4) - 8);
}

/* A shorter capture of the same packet says the same of it, or that it is too short. */
static void check_cut(const uint8_t *bytes, struct packet_source source, uint32_t have,
	enum packet_result result, const struct packet *whole)
{
	uint8_t *cut = fuzz_copy(bytes, have);
	enum packet_result now;
	struct packet p;

	source.have = have;
	now = packet_parse(cut, &source, &p);
	FUZZ_CHECK(now == result || now == PACKET_TRUNCATED);
	if (now == PACKET_OK) {
		check_payload(&p, cut, have, source.wire);
		FUZZ_CHECK(!memcmp(&p.flow, &whole->flow, sizeof(p.flow)));
		FUZZ_CHECK(p.payload_len == whole->payload_len && p.kind == whole->kind);
	}
	fuzz_free(cut);
}

static void check_reassembled(const struct packet *fragment)
{
	struct packet p = *fragment;
	uint8_t *bytes = fuzz_copy(fragment->payload, fragment->payload_have);

	if (packet_parse_payload(fragment->fragment_next, bytes, fragment->payload_have, &p) ==
		PACKET_OK) {
		check_payload(&p, bytes, fragment->payload_have, fragment->payload_have);
		FUZZ_CHECK(p.kind != PACKET_FRAGMENT);
	}
	fuzz_free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	struct packet_source source = {.ethertype = script_u16(&s), .gso_size = script_u16(&s)};
	uint32_t missing = script_u16(&s), cut = script_u16(&s);
	uint8_t *bytes = fuzz_copy(s.at, s.left);
	enum packet_result result;
	struct packet p;

	source.have = (uint32_t)s.left;
	source.wire = source.have + missing;
	result = packet_parse(bytes, &source, &p);
	if (result == PACKET_OK) {
		check_payload(&p, bytes, source.have, source.wire);
		check_flow(&p, bytes, source.have);
		check_lengths(&p, bytes, source.ethertype);
		if (p.kind == PACKET_FRAGMENT)
			check_reassembled(&p);
	}
	check_cut(bytes, source, source.have ? cut % source.have : 0, result, &p);
	fuzz_free(bytes);
	return 0;
}
