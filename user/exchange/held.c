/* SPDX-License-Identifier: BSD-2-Clause */
#include "exchange/held.h"

#include <stdlib.h>
#include <string.h>

#include "base/table.h"

/* What a query finds a response by: its own flow and id. Plain memory without padding. */
struct held_key {
	struct flow query;
	uint16_t id;
};
_Static_assert(sizeof(struct held_key) == 40, "struct held_key is hashed as memory");

/*
 * The bytes stand in `block`, used as a ring in the order of the table's ages: from the oldest
 * entry's first byte to `end`, around the block's end where there is no room for a response in
 * one piece. What was taken out of the middle is free when all before it is.
 */
struct held {
	struct table *responses;
	uint32_t end;
	uint8_t block[HELD_MEMORY];
};

struct held *held_new(void)
{
	struct held *held = malloc(sizeof(*held));

	if (!held)
		return NULL;
	held->end = 0;
	held->responses =
		table_new(HELD_COUNT_MAX, sizeof(struct held_key), sizeof(struct held_response));
	if (!held->responses) {
		free(held);
		return NULL;
	}
	return held;
}

void held_free(struct held *held)
{
	if (!held)
		return;
	table_free(held->responses);
	free(held);
}

/* Where the next response's bytes would stand; HELD_MEMORY: nowhere before the oldest is gone. */
static uint32_t place(const struct held *held, uint32_t have)
{
	const struct held_response *oldest = table_oldest(held->responses);
	uint32_t start;

	if (have > HELD_MEMORY)
		return HELD_MEMORY;
	if (!oldest)
		return 0;
	start = (uint32_t)(oldest->bytes - held->block);
	if (held->end <= start)
		return have <= start - held->end ? held->end : HELD_MEMORY;
	if (have <= HELD_MEMORY - held->end)
		return held->end;
	return have <= start ? 0 : HELD_MEMORY;
}

bool held_needs_room(const struct held *held, uint32_t have)
{
	if (!table_count(held->responses))
		return false;
	return table_full(held->responses) || place(held, have) == HELD_MEMORY;
}

/* A chain of one key is walked at each add, and a key is the sender's choice. */
static bool key_is_full(const struct held *held, const struct held_key *key)
{
	const void *kept = table_find(held->responses, key);
	unsigned count = 0;

	for (; kept && count < HELD_PER_KEY; count++)
		kept = table_find_next(held->responses, kept);
	return count == HELD_PER_KEY;
}

bool held_add(struct held *held, const struct held_response *response)
{
	struct held_key key = {.query = flow_reversed(&response->flow), .id = response->id};
	uint32_t at = place(held, response->have);
	struct held_response *kept;

	if (at == HELD_MEMORY || key_is_full(held, &key))
		return false;
	kept = table_add(held->responses, &key);
	if (!kept)
		return false;
	*kept = *response;
	kept->bytes = held->block + at;
	memcpy(held->block + at, response->bytes, response->have);
	held->end = at + response->have;
	return true;
}

static void take(struct held *held, struct held_response *kept, struct held_response *ret)
{
	*ret = *kept;
	table_remove(held->responses, kept);
}

bool held_take_expired(struct held *held, uint64_t now, struct held_response *ret)
{
	struct held_response *oldest = table_oldest(held->responses);

	if (!oldest || now < held_next_expiry(held))
		return false;
	take(held, oldest, ret);
	return true;
}

bool held_take_match(
	struct held *held, const struct flow *query, uint16_t id, struct held_response *ret)
{
	struct held_key key = {.query = *query, .id = id};
	struct held_response *kept;

	if (!table_count(held->responses))
		return false;
	kept = table_find(held->responses, &key);
	if (!kept)
		return false;
	take(held, kept, ret);
	return true;
}

size_t held_count(const struct held *held)
{
	return table_count(held->responses);
}

uint64_t held_next_expiry(const struct held *held)
{
	const struct held_response *oldest = table_oldest(held->responses);

	if (!oldest)
		return UINT64_MAX;
	return oldest->time > UINT64_MAX - HELD_SKEW_NS ? UINT64_MAX : oldest->time + HELD_SKEW_NS;
}

size_t held_memory(const struct held *held)
{
	return sizeof(*held) + table_memory(held->responses);
}
