/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory of wire/streams: blocks of one size, taken from the system once and named by their
 * number. A block that was never used is never touched. Owned by the streams; one thread.
 */
#ifndef WIRE_STREAM_POOL_H
#define WIRE_STREAM_POOL_H

#include <stddef.h>
#include <stdint.h>

enum {
	STREAM_BLOCK_SIZE = 2048, /* a full Ethernet segment with room to spare */
	STREAM_BLOCK_BYTES = 1862,
	STREAM_MARKS = 16, /* more pieces than that go to another block */
	STREAM_NONE = 0xffffffff, /* no block */
};

/* What the first block of a run (wire/stream_runs.h) says of the whole run. */
struct stream_run {
	uint32_t next; /* the first block of the next run */
	uint32_t last; /* this run's last block */
	uint32_t seq, len;
};

struct stream_block {
	uint32_t next; /* of its chain, or of the free list */
	uint16_t used;
	uint16_t mark_count;
	struct stream_run run;        /* in the first block of a run */
	uint64_t times[STREAM_MARKS]; /* of the segment whose bytes begin at the mark */
	uint16_t marks[STREAM_MARKS]; /* where in bytes; the first is 0 */
	uint16_t begins;              /* bit n: a segment begins at mark n */
	uint8_t bytes[STREAM_BLOCK_BYTES];
};
_Static_assert(sizeof(struct stream_block) == STREAM_BLOCK_SIZE, "blocks fill their size");

struct stream_pool {
	struct stream_block *blocks;
	uint32_t count, used;
	uint32_t free;  /* head of the blocks given back */
	uint32_t fresh; /* blocks from here on were never used */
};

/* 0 or -ENOMEM. */
int stream_pool_init(struct stream_pool *pool, size_t memory);
void stream_pool_destroy(struct stream_pool *pool);

/* An empty block, or STREAM_NONE. */
uint32_t stream_pool_take(struct stream_pool *pool);
void stream_pool_give(struct stream_pool *pool, uint32_t block);

static inline struct stream_block *stream_block(const struct stream_pool *pool, uint32_t block)
{
	return &pool->blocks[block];
}

static inline uint32_t stream_pool_left(const struct stream_pool *pool)
{
	return pool->count - pool->used;
}

#endif
