/* SPDX-License-Identifier: BSD-2-Clause */
#include "exchange/copies.h"

#include <stdlib.h>
#include <string.h>

struct copies {
	size_t size;
	uint64_t written; /* since the start, with what was skipped at the block's end */
	uint8_t *block;
};

struct copies *copies_new(size_t memory)
{
	struct copies *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->size = memory < COPIES_MEMORY_MIN ? COPIES_MEMORY_MIN : memory;
	c->block = malloc(c->size);
	if (!c->block) {
		copies_free(c);
		return NULL;
	}
	return c;
}

void copies_free(struct copies *c)
{
	if (!c)
		return;
	free(c->block);
	free(c);
}

struct copy copies_store(struct copies *c, const uint8_t *bytes, uint32_t len)
{
	size_t at = c->written % c->size;
	struct copy copy;

	if (len > c->size - at) { /* a copy stands in one piece */
		c->written += c->size - at;
		at = 0;
	}
	copy = (struct copy){.position = c->written, .len = len};
	memcpy(c->block + at, bytes, len);
	c->written += len;
	return copy;
}

const uint8_t *copies_fetch(const struct copies *c, struct copy copy)
{
	if (!copy.len || c->written - copy.position > c->size)
		return NULL;
	return c->block + copy.position % c->size;
}

size_t copies_memory(const struct copies *c)
{
	return sizeof(*c) + c->size;
}
