/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/stream_half.h"

#include "wire/stream_feed.h"

void stream_half_init(struct stream_half *h)
{
	*h = (struct stream_half){.partial = STREAM_NONE, .later.first = STREAM_NONE};
}

uint32_t stream_half_held(const struct stream_work *w, const struct stream_half *h)
{
	uint32_t partial = 0;

	if (h->partial != STREAM_NONE)
		partial = stream_block(&w->pool, h->partial)->run.len;
	return partial + h->later.bytes;
}

/* True when nothing is won by waiting for what is missing before `to`. */
static bool needless(const struct stream_half *h, uint32_t to)
{
	return (h->state == STREAM_SEARCHING && h->partial == STREAM_NONE) ||
		h->skip >= to - h->next;
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

/* What was held to search in can be told from its end when there is no more to come. */
static void settle(struct stream_work *w, struct stream_half *h)
{
	if (stream_half_closed(h))
		stream_feed_end(w, h);
}

static void give_up(struct stream_work *w, struct stream_half *h)
{
	uint64_t since = w->now;

	do {
		stream_feed_lose(w, h, hole_end(w, h));
		stream_feed_runs(w, h, true);
	} while (stream_half_waits(h) && needless(h, hole_end(w, h)));
	if (h->later.first != STREAM_NONE)
		since = stream_block(&w->pool, h->later.first)->times[0];
	h->deadline = since + STREAMS_HOLE_NS;
	hasten(w, h);
	settle(w, h);
}

void stream_half_expire(struct stream_work *w, struct stream_half *h)
{
	while (stream_half_waits(h) && h->deadline <= w->now)
		give_up(w, h);
}

/* Drops what is held of a message; how far the message goes is not forgotten. */
static uint32_t abandon(struct stream_work *w, struct stream_half *h)
{
	uint32_t rest = stream_feed_rest(w, h);
	uint32_t dropped = stream_feed_drop(w, h);

	h->skip = rest;
	if (dropped && !rest)
		h->state = STREAM_SEARCHING;
	return dropped;
}

void stream_half_finish(struct stream_work *w, struct stream_half *h)
{
	while (stream_half_waits(h))
		give_up(w, h);
	w->counts.skipped_unfinished += abandon(w, h);
}

void stream_half_drop(struct stream_work *w, struct stream_half *h)
{
	if (stream_half_waits(h))
		h->finned = false;
	w->counts.skipped_evicted += abandon(w, h) + stream_runs_free(&w->pool, &h->later);
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
	w->time = w->now;
	while (s->have) {
		struct stream_piece piece = {s->bytes, s->have, s->begins, w->now};

		if (h->later.first != STREAM_NONE && hole_end(w, h) - h->next < piece.len)
			piece.len = hole_end(w, h) - h->next;
		stream_feed(w, h, piece);
		step(s, piece.len);
		stream_feed_runs(w, h, false);
		trim(w, h, s);
	}
	if (!s->len)
		return;
	/* The capture cut the packet short: what is missing will not come. */
	if (h->later.first != STREAM_NONE && hole_end(w, h) - h->next < s->len)
		stream_feed_lose(w, h, hole_end(w, h));
	else
		stream_feed_lose(w, h, s->seq + s->len);
	stream_feed_runs(w, h, false);
}

/* Holds a segment that lies behind a hole; false when there is no room for it. */
static bool hold(struct stream_work *w, struct stream_half *h, const struct stream_segment *s)
{
	struct stream_piece piece = {s->bytes, s->have, s->begins, w->now};
	uint32_t need = stream_run_needs(&w->pool, STREAM_NONE, s->have) + h->later.count;
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
			stream_feed_lose(w, h, s->seq);
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
	w->counts.skipped_lost += stream_feed_drop(w, h) + stream_runs_free(&w->pool, &h->later);
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
	trim(w, h, s);
	if (s->len)
		place(w, h, s);
	else
		w->counts.segments_retransmitted++;
	stream_half_expire(w, h);
	settle(w, h);
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
	settle(w, h);
	if (end == h->next || waited)
		return;
	if (needless(h, end))
		stream_feed_lose(w, h, end);
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

bool stream_half_syn_repeated(const struct stream_half *h, uint32_t first)
{
	if (h->started)
		return h->start == first;
	return h->state != STREAM_UNKNOWN && h->next - first <= STREAMS_WINDOW;
}

/* RFC 5961, 3.2, for an observer, who knows the end of what was sent better than the receiver. */
bool stream_half_reset_fits(
	const struct stream_work *w, const struct stream_half *h, uint32_t seq)
{
	if (h->acknowledged && seq == h->acked)
		return true;
	if (h->state == STREAM_UNKNOWN)
		return false;
	return seq == h->next || seq == stream_runs_end(&w->pool, &h->later, h->next) ||
		(h->finned && seq == h->fin + 1);
}
