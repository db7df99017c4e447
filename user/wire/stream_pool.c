/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/stream_pool.h"

#include <errno.h>
#include <stdlib.h>

int stream_pool_init(struct stream_pool *pool, size_t memory)
{
	size_t count = memory / STREAM_BLOCK_SIZE;

	*pool = (struct stream_pool){.count = (uint32_t)count, .free = STREAM_NONE};
	pool->blocks = malloc(count * sizeof(*pool->blocks));
	return pool->blocks ? 0 : -ENOMEM;
}

void stream_pool_destroy(struct stream_pool *pool)
{
	free(pool->blocks);
	pool->blocks = NULL;
}

uint32_t stream_pool_take(struct stream_pool *pool)
{
	struct stream_block *block;
	uint32_t taken = pool->free;

	if (taken != STREAM_NONE)
		pool->free = stream_block(pool, taken)->next;
	else if (pool->fresh < pool->count)
		taken = pool->fresh++;
	else
		return STREAM_NONE;
	pool->used++;
	block = stream_block(pool, taken);
	block->next = STREAM_NONE;
	block->used = block->mark_count = block->begins = 0;
	return taken;
}

void stream_pool_give(struct stream_pool *pool, uint32_t block)
{
	stream_block(pool, block)->next = pool->free;
	pool->free = block;
	pool->used--;
}
