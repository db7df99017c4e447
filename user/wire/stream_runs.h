/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes of one direction of a TCP stream that cannot be given on yet, in blocks of a pool. A run
 * is a chain of blocks without a hole in it, named by its first block, which also says its place
 * and length. The runs behind a hole stand in order, never touch each other, and are searched
 * from the first on: the caller bounds their number. Small neighbours are put into one block, as
 * long as it has marks for each one's time: a block holds STREAM_MARKS pieces at least.
 *
 * The caller sees to it that the pool has the blocks: stream_run_needs for an append, and for an
 * insert that of STREAM_NONE and one more for each run there is.
 */
#ifndef WIRE_STREAM_RUNS_H
#define WIRE_STREAM_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/stream_pool.h"

/* Bytes that follow each other in one segment. */
struct stream_piece {
	const uint8_t *bytes;
	uint32_t len;
	bool begins;   /* the segment begins with them */
	uint64_t time; /* of the segment */
};

/* What the block holds from its mark of that number to the next one. */
static inline struct stream_piece stream_block_piece(
	const struct stream_block *block, uint32_t mark)
{
	uint32_t end = mark + 1 < block->mark_count ? block->marks[mark + 1] : block->used;

	return (struct stream_piece){.bytes = block->bytes + block->marks[mark],
		.len = end - block->marks[mark], .begins = block->begins >> mark & 1U,
		.time = block->times[mark]};
}

/* a - b in the ring of sequence numbers (RFC 9293, 3.4). */
static inline int32_t stream_distance(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/*
 * How many blocks it takes to append len bytes, to a new run where run is STREAM_NONE, or to one
 * whose pieces all have one time and begin nothing.
 */
uint32_t stream_run_needs(const struct stream_pool *pool, uint32_t run, uint32_t len);
/* An empty run, to be appended to. */
uint32_t stream_run_new(struct stream_pool *pool, uint32_t seq);
void stream_run_append(
	struct stream_pool *pool, uint32_t run, const struct stream_piece *piece);
/* Copies at most len bytes, beginning at the offset `from`. */
void stream_run_copy(
	const struct stream_pool *pool, uint32_t run, uint32_t from, uint32_t len, uint8_t *to);
/* Gives all its blocks back; its length. */
uint32_t stream_run_free(struct stream_pool *pool, uint32_t run);

struct stream_runs {
	uint32_t first; /* run, or STREAM_NONE */
	uint32_t count, blocks, bytes;
};

/* Puts in what is not there yet; the number of bytes that were. */
uint32_t stream_runs_insert(struct stream_pool *pool, struct stream_runs *runs, uint32_t seq,
	const struct stream_piece *piece);
/* Moves the first block of the first run to ret, whose run and next mean nothing any more. */
void stream_runs_take(
	struct stream_pool *pool, struct stream_runs *runs, struct stream_block *ret);
/* Gives all up; the number of bytes. */
uint32_t stream_runs_free(struct stream_pool *pool, struct stream_runs *runs);
/* The sequence number behind the last run, or `next` where there is none. */
uint32_t stream_runs_end(
	const struct stream_pool *pool, const struct stream_runs *runs, uint32_t next);

#endif
