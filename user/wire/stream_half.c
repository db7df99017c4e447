/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/stream_half.h"

#include <string.h>

#include "wire/stream_start.h"

/* With so many bytes stream_start has seen header and question; it says no more until the end. */
enum { START_SEEN_LEN = STREAM_PREFIX_LEN + DNS_CLAMP_LEN };

void stream_half_init(struct stream_half *h)
{
	*h = (struct stream_half){.partial = STREAM_NONE, .later.first = STREAM_NONE};
}

bool stream_half_waits(const struct stream_half *h)
{
	return h->later.first != STREAM_NONE ||
		(h->finned && stream_distance(h->fin, h->next) > 0);
}

bool stream_half_holds(const struct stream_half *h)
{
	return h->partial != STREAM_NONE || h->later.first != STREAM_NONE;
}

bool stream_half_closed(const struct stream_half *h)
{
	return h->finned && h->fin == h->next && h->later.first == STREAM_NONE;
}

bool stream_half_between(const struct stream_half *h)
{
	return h->state == STREAM_IN_SYNC && !h->skip && h->partial == STREAM_NONE;
}

uint32_t stream_half_end(const struct stream_work *w, const struct stream_half *h)
{
	return stream_runs_end(&w->pool, &h->later, h->next);
}

static uint32_t partial_len(const struct stream_work *w, const struct stream_half *h)
{
	return h->partial == STREAM_NONE ? 0 : stream_block(&w->pool, h->partial)->run.len;
}

static uint32_t drop_partial(struct stream_work *w, struct stream_half *h)
{
	uint32_t len = 0;

	if (h->partial != STREAM_NONE)
		len = stream_run_free(&w->pool, h->partial);
	h->partial = STREAM_NONE;
	return len;
}

static void store(struct stream_work *w, struct stream_half *h, const struct stream_piece *piece)
{
	uint32_t need = piece->len / STREAM_BLOCK_BYTES + 1;

	while (stream_pool_left(&w->pool) < need) {
		if (w->make_room(w->owner))
			continue;
		w->counts.skipped_evicted += drop_partial(w, h) + piece->len;
		h->state = STREAM_SEARCHING;
		return;
	}
	if (h->partial == STREAM_NONE)
		h->partial = stream_run_new(&w->pool, h->next - piece->len);
	stream_run_append(&w->pool, h->partial, piece);
}

static void emit(struct stream_work *w, const uint8_t *message, uint32_t len)
{
	w->counts.messages++;
	w->counts.message_bytes += len;
	w->output.message(w->output.arg, w->flow, message, len, w->time);
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
	stream_run_copy(&w->pool, h->partial, w->scratch);
	memcpy(w->scratch + held_len, piece->bytes, size - held_len);
	drop_partial(w, h);
	emit(w, w->scratch + STREAM_PREFIX_LEN, size - STREAM_PREFIX_LEN);
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
		emit(w, piece->bytes + STREAM_PREFIX_LEN, size - STREAM_PREFIX_LEN);
		advance(piece, size);
	}
	if (piece->len)
		store(w, h, piece);
}

static void found(struct stream_work *w, struct stream_half *h, struct stream_piece *piece)
{
	h->state = STREAM_IN_SYNC;
	w->counts.resynchronised++;
	feed_in_sync(w, h, piece);
}

/* One byte alone is more likely a keep-alive's than a message's first. */
static void feed_searching(
	struct stream_work *w, struct stream_half *h, struct stream_piece *piece)
{
	enum stream_start start = STREAM_START_NO;

	if (piece->begins && piece->len >= STREAM_PREFIX_LEN)
		start = stream_start(piece->bytes, piece->len);
	if (start == STREAM_START_YES) {
		found(w, h, piece);
	} else if (start == STREAM_START_MAYBE) {
		h->state = STREAM_TENTATIVE;
		store(w, h, piece);
	} else {
		w->counts.skipped_searching += piece->len;
	}
}

static enum stream_start look_again(
	struct stream_work *w, const struct stream_half *h, const struct stream_piece *piece)
{
	const uint8_t *held = stream_block(&w->pool, h->partial)->bytes;
	uint32_t held_len = partial_len(w, h);
	uint32_t len = STREAM_SCRATCH_LEN - held_len;

	if (held_len >= START_SEEN_LEN && held_len + piece->len < message_size(held[0], held[1]))
		return STREAM_START_MAYBE;
	if (len > piece->len)
		len = piece->len;
	stream_run_copy(&w->pool, h->partial, w->scratch);
	memcpy(w->scratch + held_len, piece->bytes, len);
	return stream_start(w->scratch, held_len + len);
}

static void feed_tentative(
	struct stream_work *w, struct stream_half *h, struct stream_piece *piece)
{
	switch (look_again(w, h, piece)) {
	case STREAM_START_YES:
		found(w, h, piece);
		break;
	case STREAM_START_MAYBE:
		store(w, h, piece);
		break;
	case STREAM_START_NO:
		w->counts.skipped_searching += drop_partial(w, h);
		h->state = STREAM_SEARCHING;
		feed_searching(w, h, piece);
		break;
	}
}

/* Gives on the bytes at h->next. */
static void feed(struct stream_work *w, struct stream_half *h, struct stream_piece piece)
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

static void feed_block(struct stream_work *w, struct stream_half *h)
{
	const struct stream_block *block = &w->block;
	struct stream_piece piece = {.bytes = block->bytes, .time = block->time};
	uint32_t at = 0;

	for (uint32_t i = 0; i < block->mark_count; i++) {
		piece.len = block->marks[i] - at;
		if (piece.len)
			feed(w, h, piece);
		at = block->marks[i];
		piece.bytes = block->bytes + at;
		piece.begins = true;
	}
	piece.len = block->used - at;
	feed(w, h, piece);
}

/*
 * Gives on what is no longer behind a hole. Each block is copied out and given back first, so
 * there is always one for what of it must be held again.
 */
static void drain(struct stream_work *w, struct stream_half *h, bool late)
{
	while (h->later.first != STREAM_NONE &&
		stream_block(&w->pool, h->later.first)->run.seq == h->next) {
		stream_runs_take(&w->pool, &h->later, &w->block);
		if (late)
			w->time = w->block.time;
		feed_block(w, h);
	}
}

/* How much of the message at hand is still to come, as far as that is certain. */
static uint32_t message_rest(const struct stream_work *w, const struct stream_half *h)
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
static void lose(struct stream_work *w, struct stream_half *h, uint32_t to)
{
	uint32_t gap = to - h->next;
	uint32_t rest = message_rest(w, h);
	uint32_t dropped = drop_partial(w, h);

	w->counts.holes++;
	w->counts.bytes_missing += gap;
	w->counts.skipped_lost += dropped;
	h->next = to;
	h->skip = rest >= gap ? rest - gap : 0;
	if (rest < gap)
		h->state = STREAM_SEARCHING;
}

/* True when nothing is won by waiting for what is missing before `to`. */
static bool needless(const struct stream_half *h, uint32_t to)
{
	return h->state == STREAM_SEARCHING || h->skip >= to - h->next;
}

static uint32_t hole_end(const struct stream_work *w, const struct stream_half *h)
{
	if (h->later.first == STREAM_NONE)
		return h->fin;
	return stream_block(&w->pool, h->later.first)->run.seq;
}

/* An acknowledged hole was lost by the tap, unless its packet is still in another CPU's ring. */
static void hasten(const struct stream_work *w, struct stream_half *h)
{
	if (!h->acknowledged || !stream_half_waits(h))
		return;
	if (stream_distance(h->acked, hole_end(w, h)) < 0)
		return;
	if (h->deadline > h->acked_at + STREAMS_SKEW_NS)
		h->deadline = h->acked_at + STREAMS_SKEW_NS;
}

static void give_up(struct stream_work *w, struct stream_half *h)
{
	uint64_t since = w->now;

	do {
		lose(w, h, hole_end(w, h));
		drain(w, h, true);
	} while (stream_half_waits(h) && needless(h, hole_end(w, h)));
	if (h->later.first != STREAM_NONE)
		since = stream_block(&w->pool, h->later.first)->time;
	h->deadline = since + STREAMS_HOLE_NS;
	hasten(w, h);
}

void stream_half_expire(struct stream_work *w, struct stream_half *h)
{
	while (stream_half_waits(h) && h->deadline <= w->now)
		give_up(w, h);
}

void stream_half_finish(struct stream_work *w, struct stream_half *h)
{
	while (stream_half_waits(h))
		give_up(w, h);
	w->counts.skipped_unfinished += drop_partial(w, h);
}

void stream_half_drop(struct stream_work *w, struct stream_half *h)
{
	uint32_t rest = message_rest(w, h);
	uint32_t dropped = drop_partial(w, h);

	if (stream_half_waits(h))
		h->finned = false;
	w->counts.skipped_evicted += dropped + stream_runs_free(&w->pool, &h->later);
	h->skip = rest;
	if (dropped && !rest)
		h->state = STREAM_SEARCHING;
}

/* Cuts off what had been given on before. */
static void trim(struct stream_work *w, const struct stream_half *h, struct stream_segment *s)
{
	int32_t behind = stream_distance(h->next, s->seq);
	uint32_t cut, known;

	if (behind <= 0)
		return;
	cut = (uint32_t)behind < s->len ? (uint32_t)behind : s->len;
	known = cut < s->have ? cut : s->have;
	w->counts.bytes_retransmitted += known;
	s->seq += cut;
	s->len -= cut;
	s->bytes += known;
	s->have -= known;
	s->begins = false;
}

static void step(struct stream_segment *s, uint32_t len)
{
	s->seq += len;
	s->len -= len;
	s->bytes += len;
	s->have -= len;
	s->begins = false;
}

/* Gives on a segment that begins at h->next; held runs that it overlaps came first and win. */
static void accept(struct stream_work *w, struct stream_half *h, struct stream_segment *s)
{
	while (s->have) {
		struct stream_piece piece = {s->bytes, s->have, s->begins, w->now};

		if (h->later.first != STREAM_NONE && hole_end(w, h) - h->next < piece.len)
			piece.len = hole_end(w, h) - h->next;
		feed(w, h, piece);
		step(s, piece.len);
		drain(w, h, false);
		trim(w, h, s);
	}
	if (!s->len)
		return;
	/* The capture cut the packet short: what is missing will not come. */
	if (h->later.first != STREAM_NONE && hole_end(w, h) - h->next < s->len)
		lose(w, h, hole_end(w, h));
	else
		lose(w, h, s->seq + s->len);
	drain(w, h, false);
}

/* Holds a segment that lies behind a hole; false when there is no room for it. */
static bool hold(struct stream_work *w, struct stream_half *h, const struct stream_segment *s)
{
	struct stream_piece piece = {s->bytes, s->have, s->begins, w->now};
	uint32_t need = s->have / STREAM_BLOCK_BYTES + 1 + h->later.count;
	bool waited = stream_half_waits(h);
	uint32_t known;

	if (h->later.blocks + need > w->ahead_blocks || h->later.count >= STREAMS_RUNS_MAX)
		return false;
	while (stream_pool_left(&w->pool) < need)
		if (!w->make_room(w->owner))
			return false;
	known = stream_runs_insert(&w->pool, &h->later, s->seq, &piece);
	w->counts.bytes_retransmitted += known;
	if (known && known == s->have)
		w->counts.segments_retransmitted++;
	if (!waited)
		h->deadline = w->now + STREAMS_HOLE_NS;
	hasten(w, h);
	return true;
}

static void place(struct stream_work *w, struct stream_half *h, struct stream_segment *s)
{
	while (s->len && s->seq != h->next) {
		bool first = h->later.first == STREAM_NONE;

		if (!(first && needless(h, s->seq)) && hold(w, h, s))
			return;
		if (first)
			lose(w, h, s->seq);
		else
			give_up(w, h);
		trim(w, h, s);
	}
	if (s->len)
		accept(w, h, s);
}

/* Segments outside of the window, when they go on and on, are where the stream is now. */
static bool follow_strays(
	struct stream_work *w, struct stream_half *h, const struct stream_segment *s)
{
	h->strays = h->strays && s->seq == h->stray ? (uint8_t)(h->strays + 1) : 1;
	h->stray = s->seq + s->len;
	if (h->strays < STREAMS_STRAYS)
		return false;
	w->counts.holes++;
	w->counts.skipped_lost += drop_partial(w, h) + stream_runs_free(&w->pool, &h->later);
	h->next = s->seq;
	h->skip = 0;
	h->state = STREAM_SEARCHING;
	h->started = h->finned = false;
	return true;
}

static bool belongs(struct stream_work *w, struct stream_half *h, const struct stream_segment *s)
{
	if (!stream_in_window(s->seq, h->next))
		return follow_strays(w, h, s);
	return s->seq == h->next || s->ack_fits;
}

bool stream_half_segment(
	struct stream_work *w, struct stream_half *h, struct stream_segment *s)
{
	if (h->state == STREAM_UNKNOWN) {
		h->next = s->seq;
		h->state = STREAM_SEARCHING;
	}
	if (!belongs(w, h, s)) {
		w->counts.skipped_outside += s->have;
		return false;
	}
	h->strays = 0;
	w->time = w->now;
	trim(w, h, s);
	if (s->len)
		place(w, h, s);
	else
		w->counts.segments_retransmitted++;
	stream_half_expire(w, h);
	return true;
}

void stream_half_fin(struct stream_work *w, struct stream_half *h, uint32_t end, bool ack_fits)
{
	bool waited = stream_half_waits(h);

	if (h->state == STREAM_UNKNOWN) {
		h->next = end;
		h->state = STREAM_SEARCHING;
	}
	if (stream_distance(end, h->next) < 0 || !stream_in_window(end, h->next))
		return;
	if (end != h->next && !ack_fits)
		return;
	h->fin = end;
	h->finned = true;
	if (end == h->next || waited)
		return;
	if (needless(h, end))
		lose(w, h, end);
	h->deadline = w->now + STREAMS_HOLE_NS;
	hasten(w, h);
}

void stream_half_acked(struct stream_work *w, struct stream_half *h, uint32_t ack)
{
	if (h->acknowledged && stream_distance(ack, h->acked) <= 0)
		return;
	h->acked = ack;
	h->acked_at = w->now;
	h->acknowledged = true;
	hasten(w, h);
}
