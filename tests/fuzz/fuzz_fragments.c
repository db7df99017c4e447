/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire/fragments. The first byte says how many entries there are; then one command after another:
 *
 *   even: a fragment. u8 datagram, u16 offset / 8 and its flags, u16 length, u16 time; its bytes
 * are those that the datagram has there (cut off where the datagram ends, so that it can be whole),
 * or with RAW bytes of its own, and any length odd:  time goes on, or back
 *
 * Each datagram that becomes whole must have been given byte for byte; and where only its true
 * bytes were given, it must be the true one.
 */
#include "fuzz.h"
#include "heard.h"
#include "wire/fragments.h"

enum {
	DATAGRAMS = 32,
	TRUE_LEN_MAX = 40000,
	BYTES_MAX = 4 << 20, /* of one run, so that it stays short */
	COMMANDS_MAX = 3000,
};
enum flag { RAW = 0x80, MORE = 0x40, CUT_SHORT = 0x20 };

static struct heard heard;

struct run {
	struct fragments *fragments;
	struct fragments_counts counts;
	uint64_t now;
	size_t given;        /* bytes */
	bool raw[DATAGRAMS]; /* bytes that are not the datagram's own were given */
	uint8_t *truth;
};

static uint32_t true_len(unsigned int datagram)
{
	return 9 + datagram * datagram * 39 % TRUE_LEN_MAX;
}

/* Of one sequence for all datagrams, each beginning at another place. */
static const uint8_t *true_bytes(const struct run *r, unsigned int datagram)
{
	return r->truth + datagram * 101;
}

static uint8_t *make_truth(void)
{
	uint8_t *bytes = malloc(TRUE_LEN_MAX + 101 * DATAGRAMS);
	uint32_t state = 1;

	FUZZ_CHECK(bytes);
	for (int i = 0; i < TRUE_LEN_MAX + 101 * DATAGRAMS; i++) {
		state = state * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(state >> 24);
	}
	return bytes;
}

static struct packet fragment_of(unsigned int datagram)
{
	struct packet p = {.kind = PACKET_FRAGMENT,
		.fragment_next = (uint8_t)(datagram & 1 ? 17 : 6),
		.fragment_id = datagram / 4};

	p.flow.family = datagram & 2 ? FAMILY_IPV6 : FAMILY_IPV4;
	p.flow.src[0] = 10;
	p.flow.dst[3] = 53;
	return p;
}

/* What tells datagrams apart (RFC 791, RFC 8200), and is written to heard's key. */
static void key_of(const struct packet *p, uint8_t key[HEARD_KEY_MAX])
{
	memset(key, 0, HEARD_KEY_MAX);
	key[0] = p->flow.family;
	key[1] = p->flow.family == FAMILY_IPV4 ? p->fragment_next : 0;
	memcpy(key + 4, &p->fragment_id, sizeof(p->fragment_id));
}

static void check_equation(const struct run *r)
{
	enum { TOTAL, FRAGMENT_OUT, FRAGMENT_REASON, MESSAGE_IN };
	uint64_t sums[4] = {0};

#define ADD(name, kind, text) sums[kind] += r->counts.name;
	FRAGMENTS_LIST(ADD)
#undef ADD
	FUZZ_CHECK(sums[TOTAL] ==
		   sums[FRAGMENT_OUT] + sums[FRAGMENT_REASON] + fragments_held(r->fragments));
}

static void check_whole(struct run *r, const struct packet *p, unsigned int datagram,
	const struct fragments_datagram *whole)
{
	uint8_t key[HEARD_KEY_MAX];

	key_of(p, key);
	FUZZ_CHECK(whole->len <= FRAGMENTS_PAYLOAD_MAX);
	FUZZ_CHECK(heard_at(&heard, key, 0, whole->bytes, whole->len));
	if (!r->raw[datagram]) {
		FUZZ_CHECK(whole->len == true_len(datagram));
		FUZZ_CHECK(!memcmp(whole->bytes, true_bytes(r, datagram), whole->len));
		FUZZ_CHECK(whole->next == p->fragment_next);
	}
	heard_forget(&heard, key);
}

static void own_bytes(struct run *r, struct script *s, unsigned int datagram, struct packet *p)
{
	size_t len;

	p->payload = script_bytes(s, p->payload_len, &len);
	p->payload_len = p->payload_have = (uint32_t)len;
	r->raw[datagram] = true;
}

static void datagrams_bytes(const struct run *r, unsigned int datagram, struct packet *p)
{
	uint32_t left;

	p->fragment_offset = (uint16_t)(p->fragment_offset % (true_len(datagram) / 8 * 8 + 8));
	left = true_len(datagram) - p->fragment_offset;
	if (p->fragment_offset >= true_len(datagram))
		left = p->fragment_offset = 0;
	p->payload_len = p->payload_len / 8 * 8;
	p->fragment_more = p->payload_len && p->payload_len < left;
	if (!p->fragment_more)
		p->payload_len = left;
	p->payload_have = p->payload_len;
	p->payload = true_bytes(r, datagram) + p->fragment_offset;
}

/* IPv6 does not look at the protocol, so two that differ in nothing else would be one. */
static unsigned int pick(uint8_t byte)
{
	unsigned int datagram = byte % DATAGRAMS;

	return datagram & 2 ? datagram & ~1U : datagram;
}

static void take_fragment(struct run *r, struct script *s, uint8_t flags)
{
	unsigned int datagram = pick(script_u8(s));
	struct packet p = fragment_of(datagram);
	struct fragments_datagram whole;
	uint8_t key[HEARD_KEY_MAX], *copy;

	p.fragment_offset = (uint16_t)(script_u16(s) << 3);
	p.payload_len = script_u16(s);
	r->now += (uint64_t)script_u16(s) * 1000000;
	p.fragment_more = flags & MORE;
	if (flags & RAW)
		own_bytes(r, s, datagram, &p);
	else
		datagrams_bytes(r, datagram, &p);
	if (flags & CUT_SHORT)
		p.payload_have /= 2;
	p.payload = copy = fuzz_copy(p.payload, p.payload_have);
	r->given += p.payload_have;
	key_of(&p, key);
	heard_add(&heard, key, p.fragment_offset, p.payload, p.payload_have);
	if (fragments_add(r->fragments, &p, r->now, &whole) == FRAGMENTS_COMPLETE)
		check_whole(r, &p, datagram, &whole);
	fuzz_free(copy);
}

static void take_time(struct run *r, struct script *s)
{
	uint16_t by = script_u16(s);

	if (by & 0x8000)
		r->now -= (uint64_t)(by & 0x7fff) * 10000000;
	else
		r->now += (uint64_t)by * 10000000;
	fragments_expire(r->fragments, r->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	struct run r = {.now = 1000000000000, .truth = make_truth()};
	size_t entries = FRAGMENTS_MAX_DATAGRAMS_MIN + script_u8(&s) % 16;

	r.fragments = fragments_new(entries, FRAGMENTS_MEMORY_MIN, &r.counts);
	FUZZ_CHECK(r.fragments);
	for (int i = 0; s.left && i < COMMANDS_MAX && r.given < BYTES_MAX; i++) {
		uint8_t command = script_u8(&s);

		if (command & 1)
			take_time(&r, &s);
		else
			take_fragment(&r, &s, command);
		check_equation(&r);
		FUZZ_CHECK(!fragments_held(r.fragments) ||
			   fragments_next_expiry(r.fragments) != UINT64_MAX);
	}
	fragments_drain(r.fragments);
	check_equation(&r);
	FUZZ_CHECK(!fragments_held(r.fragments));
	fragments_free(r.fragments);
	heard_free(&heard);
	free(r.truth);
	return 0;
}
