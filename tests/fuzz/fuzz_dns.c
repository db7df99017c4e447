/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire/dns, wire/zone and wire/stream_start over one message: u16 bytes that the capture cut off,
 * then the message.
 */
#include <ctype.h>

#include "fuzz.h"
#include "wire/dns.h"
#include "wire/stream_start.h"
#include "wire/zone.h"

/* The length of the uncompressed name, by the labels alone. */
static uint32_t name_len(const uint8_t *name, uint32_t room)
{
	uint32_t at = 0;

	while (at < room && name[at]) {
		FUZZ_CHECK(name[at] <= 63);
		at += 1U + name[at];
	}
	FUZZ_CHECK(at < room);
	return at + 1;
}

static void check_question(const struct dns *dns)
{
	uint8_t key[DNS_NAME_MAX + 4];
	uint32_t len = dns_question_key(dns, key);

	FUZZ_CHECK(!dns->qname == !dns->qdcount);
	if (!dns->qname) {
		FUZZ_CHECK(!len);
		return;
	}
	FUZZ_CHECK(dns->qname_len && len == dns->qname_len + 4U);
	FUZZ_CHECK(dns->qname == dns->bytes + 12 && 12 + len <= dns->have);
	FUZZ_CHECK(name_len(dns->qname, dns->have - 12) == dns->qname_len);
	for (uint32_t i = 0; i < dns->qname_len; i++)
		FUZZ_CHECK(key[i] == tolower(dns->qname[i]));
	FUZZ_CHECK(!memcmp(key + len - 4, dns->qname + dns->qname_len, 4));
}

static void check_zone(const struct dns *dns)
{
	uint8_t *zone = malloc(DNS_NAME_MAX);
	uint32_t len;

	FUZZ_CHECK(zone);
	len = zone_of(dns, zone);
	FUZZ_CHECK(len <= DNS_NAME_MAX);
	if (len) {
		const uint8_t *end = dns->qname + dns->qname_len;

		FUZZ_CHECK(name_len(zone, len) == len && len <= dns->qname_len);
		for (uint32_t i = 0; i < len; i++)
			FUZZ_CHECK(tolower(zone[i]) == tolower(*(end - len + i)));
	}
	free(zone);
}

/* What begins a stream is a message, and its length says where it ends. */
static void check_start(const uint8_t *message, uint32_t len)
{
	uint8_t *framed = malloc(len + 2);
	uint32_t size = 0, work = 0;
	struct dns dns;

	FUZZ_CHECK(framed);
	framed[0] = (uint8_t)(len >> 8);
	framed[1] = (uint8_t)len;
	memcpy(framed + 2, message, len);
	if (stream_start(framed, len + 2) == STREAM_START_YES) {
		FUZZ_CHECK(dns_parse(framed + 2, len, len, &dns) == DNS_OK);
		FUZZ_CHECK(stream_start_one(framed, len + 2, &size, &work) == STREAM_START_YES);
		FUZZ_CHECK(size == len + 2);
		for (uint32_t cut = 0; cut < len + 2; cut += 1 + cut / 4)
			FUZZ_CHECK(stream_start(framed, cut) == STREAM_START_MAYBE);
	}
	free(framed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	uint32_t missing = script_u16(&s), have = (uint32_t)s.left;
	enum dns_result result;
	struct dns dns;
	uint8_t *bytes;

	if (have > DNS_MESSAGE_MAX)
		return 0;
	if (have + missing > DNS_MESSAGE_MAX)
		missing = DNS_MESSAGE_MAX - have;
	bytes = fuzz_copy(s.at, have);
	result = dns_parse(bytes, have, have + missing, &dns);
	if (result == DNS_OK) {
		check_question(&dns);
		check_zone(&dns);
		dns_is_transfer(&dns);
	}
	FUZZ_CHECK(missing || result != DNS_TRUNCATED);
	FUZZ_CHECK(have + missing >= DNS_HEADER_LEN || result == DNS_SHORT);
	check_start(bytes, have);
	fuzz_free(bytes);
	return 0;
}
