/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/stream_search.h"

#include <string.h>

#include "wire/stream_start.h"

enum {
	HEADER_END = 2 + 12,
	RECORD_MIN = 11, /* a name of one byte, type, class, TTL, length */
	WORK_PER_BYTE = 4,
	RESPONSE = 0x80, /* of the byte behind the id */
	TRUNCATED = 0x02,
	RESERVED = 0x40,
};
enum { NOTHING_BEFORE = 0, SEVERAL_BEFORE = 0xffffffff }; /* or the offset + 1 */

static uint32_t be16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t behind(const struct stream_search *s, uint32_t at)
{
	return at + 2 + be16(s->bytes + at);
}

/* What stream_start would refuse as well; here because it refuses nearly every offset. */
static bool hopeless(const uint8_t *at)
{
	uint32_t records;

	if (at[6] || at[7] > 1 || at[4] & TRUNCATED || at[5] & RESERVED)
		return true;
	records = be16(at + 8) + be16(at + 10) + be16(at + 12);
	return records * RECORD_MIN > be16(at);
}

static bool lives(const struct stream_search *s, uint32_t at, uint32_t len, bool ended,
	uint32_t *work)
{
	uint32_t left = len - at, size = 0;

	if (left < HEADER_END)
		return !ended;
	if (hopeless(s->bytes + at) || (ended && behind(s, at) > len))
		return false;
	switch (stream_start_one(s->bytes + at, left, &size, work)) {
	case STREAM_START_YES:
		return s->alive[at + size];
	case STREAM_START_MAYBE:
		return !ended;
	default:
		return false;
	}
}

/* From the end to the beginning: a message is alive when the one behind it is. */
static bool find_alive(struct stream_search *s, uint32_t len, bool ended)
{
	uint32_t work = 0;

	memset(s->before, 0, (len + 1) * sizeof(*s->before));
	s->alive[len] = true;
	for (uint32_t at = len; at-- > 0 && work <= WORK_PER_BYTE * len;) {
		uint32_t next;

		s->alive[at] = lives(s, at, len, ended, &work);
		if (!s->alive[at] || len - at < HEADER_END)
			continue;
		next = behind(s, at);
		if (next <= len)
			s->before[next] = s->before[next] ? SEVERAL_BEFORE : at + 1;
	}
	return work <= WORK_PER_BYTE * len;
}

/* The first boundary that every chain goes through; len: none is. */
static uint32_t find_certain(const struct stream_search *s, uint32_t len)
{
	uint32_t reach = 0;

	for (uint32_t at = 0; at + HEADER_END <= len; at++) {
		if (!s->alive[at])
			continue;
		if (at >= STREAM_SEARCH_REACH && reach <= at)
			return at;
		if (reach < behind(s, at))
			reach = behind(s, at);
	}
	return len;
}

/* Whether enough messages of one kind stand whole from `at` on. */
static bool enough(const struct stream_search *s, uint32_t at, uint32_t len)
{
	uint32_t count = 0;
	uint8_t kind = at + HEADER_END <= len ? s->bytes[at + 4] & RESPONSE : 0;

	while (at + HEADER_END <= len && behind(s, at) <= len) {
		if ((s->bytes[at + 4] & RESPONSE) != kind)
			return false;
		at = behind(s, at);
		count++;
	}
	return count >= STREAM_SEARCH_MESSAGES;
}

bool stream_search(struct stream_search *s, uint32_t len, bool ended, uint32_t *ret_at)
{
	uint32_t at = len;

	if (!find_alive(s, len, ended))
		return false;
	if (!ended)
		at = find_certain(s, len);
	if (!ended && at == len)
		return false;
	while (s->before[at] != NOTHING_BEFORE && s->before[at] != SEVERAL_BEFORE)
		at = s->before[at] - 1;
	*ret_at = at;
	return enough(s, at, len);
}
