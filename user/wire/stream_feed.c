/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/stream_feed.h"

#include <string.h>

#include "wire/stream_start.h"

enum {
	/* So much shows stream_start header and question; it says no more until the end. */
	START_SEEN_LEN = STREAM_PREFIX_LEN + DNS_CLAMP_LEN,
	/* A first search in what is held; the second and last is in STREAM_SEARCH_MAX. */
	SEARCH_FIRST = 80 * 1024,
};

static uint32_t partial_len(const struct stream_work *w, const struct stream_half *h)
{
	return h->partial == STREAM_NONE ? 0 : stream_block(&w->pool, h->partial)->run.len;
}

uint32_t stream_feed_drop(struct stream_work *w, struct stream_half *h)
{
	uint32_t len = 0;

	if (h->partial != STREAM_NONE)
		len = stream_run_free(&w->pool, h->partial);
	h->partial = STREAM_NONE;
	if (h->state == STREAM_IN_SYNC)
		return len;
	if (h->state == STREAM_TENTATIVE)
		h->state = STREAM_SEARCHING;
	w->counts.skipped_searching += len;
	return 0;
}

/* Of the times of what is held of one message only the latest matters: its blocks hold none. */
static void store(struct stream_work *w, struct stream_half *h, const struct stream_piece *piece)
{
	const struct stream_piece held = {.bytes = piece->bytes, .len = piece->len};
	uint32_t need = stream_run_needs(&w->pool, h->partial, piece->len);

	while (stream_pool_left(&w->pool) < need) {
		if (w->make_room(w->owner))
			continue;
		w->counts.skipped_evicted += stream_feed_drop(w, h) + piece->len;
		h->state = STREAM_SEARCHING;
		return;
	}
	if (h->partial == STREAM_NONE) {
		h->partial = stream_run_new(&w->pool, h->next - piece->len);
		h->partial_time = 0;
	}
	if (h->partial_time < w->time)
		h->partial_time = w->time;
	stream_run_append(&w->pool, h->partial, &held);
}

static void emit(struct stream_work *w, const uint8_t *message, uint32_t len, uint64_t time)
{
	w->counts.messages++;
	w->counts.message_bytes += len;
	w->output.message(w->output.arg, w->flow, message, len, time);
}

static void advance(struct stream_piece *piece, uint32_t len)
{
	piece->bytes += len;
	piece->len -= len;
	piece->begins = false;
}

/* The length, with its prefix, of the message that `first` and `second` begin. */
static uint32_t message_size(uint8_t first, uint8_t second)
{
	return STREAM_PREFIX_LEN + ((uint32_t)first << 8 | second);
}

/* Puts piece behind what is held of the message; true when that made it whole. */
static bool complete_partial(
	struct stream_work *w, struct stream_half *h, struct stream_piece *piece)
{
	const uint8_t *held = stream_block(&w->pool, h->partial)->bytes;
	uint32_t held_len = partial_len(w, h);
	uint32_t size = message_size(held[0], held_len > 1 ? held[1] : piece->bytes[0]);

	if (held_len + piece->len < size) {
		store(w, h, piece);
		return false;
	}
	stream_run_copy(&w->pool, h->partial, 0, held_len, w->scratch);
	memcpy(w->scratch + held_len, piece->bytes, size - held_len);
	stream_feed_drop(w, h);
	emit(w, w->scratch + STREAM_PREFIX_LEN, size - STREAM_PREFIX_LEN,
		w->time < h->partial_time ? h->partial_time : w->time);
	advance(piece, size - held_len);
	return true;
}

static void feed_in_sync(struct stream_work *w, struct stream_half *h, struct stream_piece *piece)
{
	if (h->partial != STREAM_NONE && !complete_partial(w, h, piece))
		return;
	while (piece->len >= STREAM_PREFIX_LEN) {
		uint32_t size = message_size(piece->bytes[0], piece->bytes[1]);

		if (size > piece->len)
			break;
		emit(w, piece->bytes + STREAM_PREFIX_LEN, size - STREAM_PREFIX_LEN, w->time);
		advance(piece, size);
	}
	if (piece->len)
		store(w, h, piece);
}

/* In sync from the offset `from` of what is held on: gives that on, each byte at its time. */
static void found(struct stream_work *w, struct stream_half *h, uint32_t from)
{
	uint64_t time = w->time;
	uint32_t run = h->partial;

	h->state = STREAM_IN_SYNC;
	h->partial = STREAM_NONE;
	w->counts.resynchronised++;
	w->counts.skipped_searching += from;
	while (run != STREAM_NONE) {
		const struct stream_block *block = stream_block(&w->pool, run);
		uint32_t next = block->next;

		for (uint32_t i = 0; i < block->mark_count; i++) {
			struct stream_piece piece = stream_block_piece(block, i);
			uint32_t cut = from < piece.len ? from : piece.len;

			from -= cut;
			advance(&piece, cut);
			w->time = piece.time;
			if (h->state != STREAM_IN_SYNC)
				w->counts.skipped_searching += piece.len;
			else if (piece.len)
				feed_in_sync(w, h, &piece);
		}
		stream_pool_give(&w->pool, run);
		run = next;
	}
	w->time = time;
}

/* Looks for messages in the first len bytes held; what they end with is known where `ended`. */
static bool search(
	struct stream_work *w, const struct stream_half *h, uint32_t len, bool ended,
	uint32_t *ret_at)
{
	if (len > STREAM_SEARCH_MAX)
		len = STREAM_SEARCH_MAX;
	stream_run_copy(&w->pool, h->partial, 0, len, w->search.bytes);
	return stream_search(&w->search, len, ended, ret_at);
}

/* A message begins at the offset `at`: so others may end there. */
static void found_at(struct stream_work *w, struct stream_half *h, uint32_t at)
{
	uint32_t from = at;

	if (at && at <= STREAM_SEARCH_MAX && !search(w, h, at, true, &from))
		from = at;
	found(w, h, from);
}

/* Holds a piece to search in; false when there was no room and all was dropped. */
static bool keep(struct stream_work *w, struct stream_half *h, const struct stream_piece *piece)
{
	struct stream_piece kept = *piece;
	uint32_t need = stream_run_needs(&w->pool, h->partial, piece->len) + 1;
	uint32_t used;

	if (h->partial == STREAM_NONE)
		h->blocks = 0;
	while (stream_pool_left(&w->pool) < need && w->make_room(w->owner))
		;
	if (stream_pool_left(&w->pool) < need || h->blocks + need > w->ahead_blocks) {
		stream_feed_drop(w, h);
		w->counts.skipped_searching += piece->len;
		return false;
	}
	used = w->pool.used;
	if (h->partial == STREAM_NONE)
		h->partial = stream_run_new(&w->pool, h->next - piece->len);
	kept.time = w->time;
	stream_run_append(&w->pool, h->partial, &kept);
	h->blocks += w->pool.used - used;
	return true;
}

/* Searches when enough is held for it: twice, then what is held will not tell any more. */
static void search_held(struct stream_work *w, struct stream_half *h, uint32_t added)
{
	uint32_t len = partial_len(w, h), at;
	bool full = len >= STREAM_SEARCH_MAX;

	if (!full && (len < SEARCH_FIRST || len - added >= SEARCH_FIRST))
		return;
	if (search(w, h, len, false, &at))
		found(w, h, at);
	else if (full)
		stream_feed_drop(w, h);
}

void stream_feed_end(struct stream_work *w, struct stream_half *h)
{
	uint32_t len = partial_len(w, h), at;

	if (h->state == STREAM_IN_SYNC || !len)
		return;
	if (len <= STREAM_SEARCH_MAX && search(w, h, len, true, &at))
		found(w, h, at);
	else
		stream_feed_drop(w, h);
}

/* One byte alone is more likely a keep-alive's than a message's first. */
static void feed_searching(
	struct stream_work *w, struct stream_half *h, struct stream_piece *piece)
{
	enum stream_start start = STREAM_START_NO;
	uint32_t at = partial_len(w, h);

	if (piece->begins && piece->len >= STREAM_PREFIX_LEN)
		start = stream_start(piece->bytes, piece->len);
	if (start == STREAM_START_YES) {
		if (at)
			found_at(w, h, at);
		else
			found(w, h, 0);
		feed_in_sync(w, h, piece);
		return;
	}
	if (!keep(w, h, piece))
		return;
	if (start == STREAM_START_MAYBE) {
		h->state = STREAM_TENTATIVE;
		h->candidate = at;
	} else {
		search_held(w, h, piece->len);
	}
}

/* What the bytes from the candidate on say, with those of the piece. */
static enum stream_start look_again(
	struct stream_work *w, const struct stream_half *h, const struct stream_piece *piece)
{
	uint32_t held_len = partial_len(w, h) - h->candidate;
	uint32_t len = STREAM_SCRATCH_LEN - held_len;
	uint8_t prefix[STREAM_PREFIX_LEN];

	stream_run_copy(&w->pool, h->partial, h->candidate, STREAM_PREFIX_LEN, prefix);
	if (held_len >= START_SEEN_LEN &&
		held_len + piece->len < message_size(prefix[0], prefix[1]))
		return STREAM_START_MAYBE;
	if (len > piece->len)
		len = piece->len;
	stream_run_copy(&w->pool, h->partial, h->candidate, held_len, w->scratch);
	memcpy(w->scratch + held_len, piece->bytes, len);
	return stream_start(w->scratch, held_len + len);
}

static void feed_tentative(
	struct stream_work *w, struct stream_half *h, struct stream_piece *piece)
{
	switch (look_again(w, h, piece)) {
	case STREAM_START_YES:
		found_at(w, h, h->candidate);
		feed_in_sync(w, h, piece);
		break;
	case STREAM_START_MAYBE:
		keep(w, h, piece);
		break;
	case STREAM_START_NO:
		h->state = STREAM_SEARCHING;
		feed_searching(w, h, piece);
		break;
	}
}

/* Gives on the bytes at h->next. */
void stream_feed(struct stream_work *w, struct stream_half *h, struct stream_piece piece)
{
	uint32_t skip = h->skip < piece.len ? h->skip : piece.len;

	h->next += piece.len;
	if (skip) {
		h->skip -= skip;
		w->counts.skipped_lost += skip;
		advance(&piece, skip);
	}
	if (!piece.len)
		return;
	if (h->state == STREAM_IN_SYNC)
		feed_in_sync(w, h, &piece);
	else if (h->state == STREAM_TENTATIVE)
		feed_tentative(w, h, &piece);
	else
		feed_searching(w, h, &piece);
}

static void feed_block(struct stream_work *w, struct stream_half *h, bool late)
{
	for (uint32_t i = 0; i < w->block.mark_count; i++) {
		struct stream_piece piece = stream_block_piece(&w->block, i);

		if (late)
			w->time = piece.time;
		stream_feed(w, h, piece);
	}
}

/*
 * Gives on what is no longer behind a hole. Each block is copied out and given back first, so
 * there is always one for what of it must be held again.
 */
void stream_feed_runs(struct stream_work *w, struct stream_half *h, bool late)
{
	while (h->later.first != STREAM_NONE &&
		stream_block(&w->pool, h->later.first)->run.seq == h->next) {
		stream_runs_take(&w->pool, &h->later, &w->block);
		feed_block(w, h, late);
	}
}

/* How much of the message at hand is still to come, as far as that is certain. */
uint32_t stream_feed_rest(const struct stream_work *w, const struct stream_half *h)
{
	uint32_t len = partial_len(w, h);
	const uint8_t *held;

	if (h->state != STREAM_IN_SYNC)
		return 0;
	if (len < STREAM_PREFIX_LEN)
		return h->skip;
	held = stream_block(&w->pool, h->partial)->bytes;
	return message_size(held[0], held[1]) - len;
}

/* Steps over what is missing before `to`, which is at most the first run. */
void stream_feed_lose(struct stream_work *w, struct stream_half *h, uint32_t to)
{
	uint32_t gap = to - h->next;
	uint32_t rest = stream_feed_rest(w, h);
	uint32_t dropped = stream_feed_drop(w, h);

	w->counts.holes++;
	w->counts.bytes_missing += gap;
	w->counts.skipped_lost += dropped;
	h->next = to;
	h->skip = rest >= gap ? rest - gap : 0;
	if (rest < gap)
		h->state = STREAM_SEARCHING;
}
