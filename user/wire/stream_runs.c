/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/stream_runs.h"

#include <string.h>

static struct stream_run *run_at(const struct stream_pool *pool, uint32_t run)
{
	return &stream_block(pool, run)->run;
}

static uint32_t run_end(const struct stream_pool *pool, uint32_t run)
{
	return run_at(pool, run)->seq + run_at(pool, run)->len;
}

uint32_t stream_run_new(struct stream_pool *pool, uint32_t seq)
{
	uint32_t run = stream_pool_take(pool);

	*run_at(pool, run) = (struct stream_run){.next = STREAM_NONE, .last = run, .seq = seq};
	return run;
}

uint32_t stream_run_needs(const struct stream_pool *pool, uint32_t run, uint32_t len)
{
	uint32_t room = 0;

	if (run != STREAM_NONE)
		room = STREAM_BLOCK_BYTES - stream_block(pool, run_at(pool, run)->last)->used;
	return len <= room ? 0 : (len - room + STREAM_BLOCK_BYTES - 1) / STREAM_BLOCK_BYTES;
}

/* A piece that goes on where its own segment's last one ended needs no mark of its own. */
static bool block_goes_on(const struct stream_block *block, const struct stream_piece *piece)
{
	return block->mark_count && !piece->begins &&
		block->times[block->mark_count - 1] == piece->time;
}

static void block_mark(struct stream_block *block, uint32_t at, bool begins, uint64_t time)
{
	uint32_t mark = block->mark_count++;

	block->marks[mark] = (uint16_t)at;
	block->times[mark] = time;
	block->begins = (uint16_t)(block->begins | (unsigned int)begins << mark);
}

/* How much of the piece goes in; nothing where its time would have no place. */
static uint32_t block_fill(struct stream_block *block, const struct stream_piece *piece)
{
	uint32_t room = STREAM_BLOCK_BYTES - block->used;
	uint32_t len = piece->len < room ? piece->len : room;
	bool goes_on = block_goes_on(block, piece);

	if (!len || (!goes_on && block->mark_count == STREAM_MARKS))
		return 0;
	if (!goes_on)
		block_mark(block, block->used, piece->begins, piece->time);
	memcpy(block->bytes + block->used, piece->bytes, len);
	block->used = (uint16_t)(block->used + len);
	return len;
}

void stream_run_append(struct stream_pool *pool, uint32_t run, const struct stream_piece *piece)
{
	struct stream_run *whole = run_at(pool, run);
	struct stream_piece left = *piece;

	whole->len += left.len;
	while (left.len) {
		struct stream_block *last = stream_block(pool, whole->last);
		uint32_t put = block_fill(last, &left);

		left.bytes += put;
		left.len -= put;
		left.begins = left.begins && !put;
		if (left.len)
			whole->last = last->next = stream_pool_take(pool);
	}
}

void stream_run_copy(
	const struct stream_pool *pool, uint32_t run, uint32_t from, uint32_t len, uint8_t *to)
{
	for (uint32_t b = run; b != STREAM_NONE && len; b = stream_block(pool, b)->next) {
		const struct stream_block *block = stream_block(pool, b);
		uint32_t cut = from < block->used ? from : block->used;
		uint32_t put = block->used - cut < len ? block->used - cut : len;

		memcpy(to, block->bytes + cut, put);
		to += put;
		len -= put;
		from -= cut;
	}
}

uint32_t stream_run_free(struct stream_pool *pool, uint32_t run)
{
	uint32_t len = run_at(pool, run)->len;

	while (run != STREAM_NONE) {
		uint32_t next = stream_block(pool, run)->next;

		stream_pool_give(pool, run);
		run = next;
	}
	return len;
}

/* Puts all of a run of one block behind the last byte of another block; false: no room. */
static bool block_join(struct stream_block *to, const struct stream_block *from)
{
	if (to->used + from->used > STREAM_BLOCK_BYTES ||
		to->mark_count + from->mark_count > STREAM_MARKS)
		return false;
	for (uint32_t i = 0; i < from->mark_count; i++)
		block_mark(to, (uint32_t)to->used + from->marks[i], from->begins >> i & 1U,
			from->times[i]);
	memcpy(to->bytes + to->used, from->bytes, from->used);
	to->used = (uint16_t)(to->used + from->used);
	return true;
}

static void merge_next(struct stream_pool *pool, struct stream_runs *runs, uint32_t run)
{
	struct stream_run *whole = run_at(pool, run);
	uint32_t next = whole->next;
	struct stream_run added = *run_at(pool, next);
	struct stream_block *last = stream_block(pool, whole->last);

	if (added.last == next && block_join(last, stream_block(pool, next))) {
		stream_pool_give(pool, next);
	} else {
		last->next = next;
		whole->last = added.last;
	}
	whole->len += added.len;
	whole->next = added.next;
	runs->count--;
}

/* The last run that begins at or before seq, from run on; STREAM_NONE: none does. */
static uint32_t run_before(
	const struct stream_pool *pool, const struct stream_runs *runs, uint32_t run, uint32_t seq)
{
	uint32_t next = run == STREAM_NONE ? runs->first : run_at(pool, run)->next;

	while (next != STREAM_NONE && stream_distance(run_at(pool, next)->seq, seq) <= 0) {
		run = next;
		next = run_at(pool, run)->next;
	}
	return run;
}

/* The run behind `before` to append to at seq: before itself, or a new one. */
static uint32_t run_for(
	struct stream_pool *pool, struct stream_runs *runs, uint32_t before, uint32_t seq)
{
	uint32_t run;

	if (before != STREAM_NONE && run_end(pool, before) == seq)
		return before;
	run = stream_run_new(pool, seq);
	if (before == STREAM_NONE) {
		run_at(pool, run)->next = runs->first;
		runs->first = run;
	} else {
		run_at(pool, run)->next = run_at(pool, before)->next;
		run_at(pool, before)->next = run;
	}
	runs->count++;
	return run;
}

/* Puts the beginning of piece into the gap behind `before`; how much of it went in. */
static uint32_t fill_gap(struct stream_pool *pool, struct stream_runs *runs, uint32_t before,
	uint32_t seq, const struct stream_piece *piece)
{
	struct stream_piece part = *piece;
	uint32_t run = run_for(pool, runs, before, seq);
	uint32_t next = run_at(pool, run)->next;
	uint32_t room = next == STREAM_NONE ? UINT32_MAX : run_at(pool, next)->seq - seq;

	if (part.len > room)
		part.len = room;
	stream_run_append(pool, run, &part);
	if (part.len == room)
		merge_next(pool, runs, run);
	return part.len;
}

uint32_t stream_runs_insert(struct stream_pool *pool, struct stream_runs *runs, uint32_t seq,
	const struct stream_piece *piece)
{
	struct stream_piece left = *piece;
	uint32_t before = STREAM_NONE, used = pool->used, known = 0;

	while (left.len) {
		uint32_t step;

		before = run_before(pool, runs, before, seq);
		if (before != STREAM_NONE && stream_distance(run_end(pool, before), seq) > 0) {
			step = run_end(pool, before) - seq;
			step = step < left.len ? step : left.len;
			known += step;
		} else {
			step = fill_gap(pool, runs, before, seq, &left);
		}
		left.bytes += step;
		left.len -= step;
		left.begins = false;
		seq += step;
	}
	runs->blocks += pool->used - used;
	runs->bytes += piece->len - known;
	return known;
}

void stream_runs_take(
	struct stream_pool *pool, struct stream_runs *runs, struct stream_block *ret)
{
	uint32_t taken = runs->first;
	const struct stream_block *block = stream_block(pool, taken);
	struct stream_run rest = block->run;

	memcpy(ret, block, sizeof(*ret) - sizeof(ret->bytes) + block->used);
	rest.seq += block->used;
	rest.len -= block->used;
	runs->first = block->next;
	if (block->next == STREAM_NONE) {
		runs->first = rest.next;
		runs->count--;
	} else {
		*run_at(pool, block->next) = rest;
	}
	runs->blocks--;
	runs->bytes -= block->used;
	stream_pool_give(pool, taken);
}

uint32_t stream_runs_free(struct stream_pool *pool, struct stream_runs *runs)
{
	uint32_t bytes = runs->bytes, run = runs->first;

	while (run != STREAM_NONE) {
		uint32_t next = run_at(pool, run)->next;

		stream_run_free(pool, run);
		run = next;
	}
	*runs = (struct stream_runs){.first = STREAM_NONE};
	return bytes;
}

uint32_t stream_runs_end(
	const struct stream_pool *pool, const struct stream_runs *runs, uint32_t next)
{
	for (uint32_t run = runs->first; run != STREAM_NONE; run = run_at(pool, run)->next)
		next = run_end(pool, run);
	return next;
}
