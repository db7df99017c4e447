/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/streams.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "wire/stream_half.h"
#include "wire/stream_start.h"
#include "wire/stream_stubs.h"

enum list { UNLISTED, HOLDING, WAITING, LISTS };

/* One entry for both directions; half[0] is that of the key, half[1] the reverse. */
struct connection {
	struct stream_half half[2];
	uint64_t last;                      /* when it was last heard of */
	struct connection *older, *younger; /* on its list */
	uint8_t list;                       /* enum list */
	bool reopening;                     /* a stub has a SYN for these addresses */
	bool ended;                         /* told before */
};

struct ends {
	struct connection *oldest, *youngest;
};

struct streams {
	struct table *connections, *stubs;
	/* Those that hold bytes: without a hole, and with one. Each idlest first. */
	struct ends lists[LISTS];
	uint64_t now;
	uint64_t hole_deadline; /* no hole is due before */
	struct stream_work work;
};

static void unlist(struct streams *s, struct connection *c)
{
	struct ends *list = &s->lists[c->list];

	if (c->list == UNLISTED)
		return;
	*(c->older ? &c->older->younger : &list->oldest) = c->younger;
	*(c->younger ? &c->younger->older : &list->youngest) = c->older;
	c->list = UNLISTED;
}

static void enlist(struct streams *s, struct connection *c)
{
	struct ends *list;

	for (int dir = 0; dir < 2; dir++) {
		const struct stream_half *h = &c->half[dir];

		if (stream_half_waits(h)) {
			c->list = WAITING;
			if (h->deadline < s->hole_deadline)
				s->hole_deadline = h->deadline;
		} else if (c->list == UNLISTED && stream_half_holds(h)) {
			c->list = HOLDING;
		}
	}
	if (c->list == UNLISTED)
		return;
	list = &s->lists[c->list];
	c->older = list->youngest;
	c->younger = NULL;
	*(list->youngest ? &list->youngest->younger : &list->oldest) = c;
	list->youngest = c;
}

static void drop_held(struct streams *s, struct connection *c)
{
	stream_half_drop(&s->work, &c->half[0]);
	stream_half_drop(&s->work, &c->half[1]);
	unlist(s, c);
}

/* The connection at work is on no list and so keeps what it holds. */
static bool make_room(void *owner)
{
	struct streams *s = owner;
	struct connection *c = s->lists[HOLDING].oldest;
	struct connection *waiting = s->lists[WAITING].oldest;

	if (!c || (waiting && waiting->last < c->last))
		c = waiting;
	if (!c)
		return false;
	if (stream_half_holds(&c->half[0]) || stream_half_holds(&c->half[1]))
		s->work.counts.evicted_memory++;
	drop_held(s, c);
	return true;
}

struct streams *streams_new(size_t max, size_t memory, const struct streams_output *output)
{
	struct streams *s;

	if (max < STREAMS_MAX_MIN || max > STREAMS_MAX_MAX || memory < STREAMS_MEMORY_MIN ||
		memory > STREAMS_MEMORY_MAX)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->hole_deadline = UINT64_MAX;
	s->work.output = *output;
	s->work.make_room = make_room;
	s->work.owner = s;
	s->connections = table_new(max, sizeof(struct flow), sizeof(struct connection));
	s->stubs = stream_stubs_new();
	if (!s->connections || !s->stubs || stream_pool_init(&s->work.pool, memory)) {
		streams_free(s);
		return NULL;
	}
	s->work.ahead_blocks = s->work.pool.count / 8;
	if (s->work.ahead_blocks > STREAMS_AHEAD_MAX / STREAM_BLOCK_SIZE)
		s->work.ahead_blocks = STREAMS_AHEAD_MAX / STREAM_BLOCK_SIZE;
	return s;
}

void streams_free(struct streams *s)
{
	if (!s)
		return;
	table_free(s->connections);
	table_free(s->stubs);
	stream_pool_destroy(&s->work.pool);
	free(s);
}

/* The flow as both directions share it: the lesser end first. Returns the direction of flow. */
static int flow_key(const struct flow *flow, struct flow *key)
{
	int order = memcmp(flow->src, flow->dst, sizeof(flow->src));

	if (!order)
		order = (flow->src_port > flow->dst_port) - (flow->src_port < flow->dst_port);
	*key = order > 0 ? flow_reversed(flow) : *flow;
	return order > 0;
}

static void leave_stub(struct streams *s, const struct connection *c, bool closed)
{
	stream_stubs_leave(s->stubs, table_key(s->connections, c), c->half, closed, s->now);
}

static void forget(struct streams *s, struct connection *c)
{
	unlist(s, c);
	table_remove(s->connections, c);
}

/* Calls give_up for both directions with their flows at hand. */
static void each_half(struct streams *s, struct connection *c,
	void (*give_up)(struct stream_work *work, struct stream_half *half))
{
	struct flow flow = *(const struct flow *)table_key(s->connections, c);

	s->work.flow = &flow;
	give_up(&s->work, &c->half[0]);
	flow = flow_reversed(&flow);
	give_up(&s->work, &c->half[1]);
	s->work.flow = NULL;
}

/* Tells the end; what is left to do with the entry is the caller's. */
static void end(struct streams *s, struct connection *c)
{
	each_half(s, c, stream_half_finish);
	if (c->ended)
		return;
	s->work.counts.ended++;
	s->work.output.end(s->work.output.arg, table_key(s->connections, c));
}

static void end_and_forget(struct streams *s, struct connection *c)
{
	end(s, c);
	leave_stub(s, c, true);
	forget(s, c);
}

static void evict_idlest(struct streams *s)
{
	struct connection *c = table_oldest(s->connections);

	drop_held(s, c);
	s->work.counts.evicted++;
	leave_stub(s, c, c->ended);
	forget(s, c);
}

/* A new entry that goes on where the stub says, if there is one. */
static struct connection *add(
	struct streams *s, const struct flow *key, const struct stream_stub *stub)
{
	struct connection *c;

	if (table_full(s->connections))
		evict_idlest(s);
	c = table_add(s->connections, key);
	stream_stub_resume(stub, c->half);
	c->ended = stub && stub->closed;
	return c;
}

/* A segment's place in its connection. */
struct arrival {
	struct flow key;
	int dir;
	uint32_t seq; /* of the payload */
	const struct packet *packet;
};

/* Whether payload without an entry is worth one; what is not is counted. */
static bool admits(struct streams *s, const struct stream_stub *stub, const struct arrival *a)
{
	const struct packet *p = a->packet;

	if (stub && stub->known[a->dir]) {
		if (stream_distance(a->seq + p->payload_len, stub->next[a->dir]) > 0)
			return true;
		s->work.counts.segments_retransmitted++;
		s->work.counts.bytes_retransmitted += p->payload_have;
		return false;
	}
	if (p->payload_have >= STREAM_PREFIX_LEN &&
		stream_start(p->payload, p->payload_have) != STREAM_START_NO)
		return true;
	s->work.counts.skipped_searching += p->payload_have;
	return false;
}

/* Whether the segment is a FIN and data before it are still to come. */
static bool overtaken(const struct stream_stub *stub, const struct arrival *a)
{
	return stub && stub->known[a->dir] && a->packet->tcp_flags & TCP_FIN &&
		stream_distance(a->seq, stub->next[a->dir]) > 0;
}

static struct connection *admit(struct streams *s, const struct arrival *a)
{
	const struct stream_stub *stub;
	struct stream_stub start;
	void *old;

	stub = stream_stubs_continued(s->stubs, &a->key, a->dir, a->seq, s->now);
	if (a->packet->payload_len ? !admits(s, stub, a) : !overtaken(stub, a))
		return NULL;
	/* Copied, because evicting leaves a stub and may push this one out. */
	if (stub)
		start = *stub;
	old = table_find(s->stubs, &a->key);
	if (old)
		table_remove(s->stubs, old);
	return add(s, &a->key, stub ? &start : NULL);
}

/* The answer to a SYN that had data with it (RFC 7413), whose connection has an entry already. */
static bool syn_adopted(struct connection *c, const struct arrival *a)
{
	struct stream_half *h = &c->half[a->dir];
	const struct stream_half *peer = &c->half[!a->dir];

	if (!(a->packet->tcp_flags & TCP_ACK) || h->state != STREAM_UNKNOWN ||
		!stream_in_window(a->packet->ack, peer->next))
		return false;
	h->next = h->start = a->seq;
	h->started = true;
	h->state = STREAM_IN_SYNC;
	return true;
}

static void take_syn(struct streams *s, struct connection *c, const struct arrival *a)
{
	if (c && (stream_half_syn_repeated(&c->half[a->dir], a->seq) || syn_adopted(c, a)))
		return;
	if (c)
		c->reopening = true;
	stream_stubs_syn(s->stubs, &a->key, a->dir, a->seq, a->packet->tcp_flags & TCP_ACK, s->now);
}

/* True when payload belongs to a connection that has begun anew under the old one's addresses. */
static bool reopened(const struct streams *s, const struct connection *c, const struct arrival *a)
{
	const struct stream_stub *stub = table_find(s->stubs, &a->key);
	const struct stream_half *h = &c->half[a->dir];
	uint32_t ahead;

	if (!stub || !stub->known[a->dir])
		return false;
	ahead = a->seq - stub->next[a->dir];
	if (ahead > STREAMS_WINDOW || (h->state != STREAM_UNKNOWN && a->seq == h->next))
		return false;
	return !ahead || h->state == STREAM_UNKNOWN || !stream_in_window(a->seq, h->next);
}

/* What an RST carries is a text for people, not a part of the stream (RFC 9293, 3.5.2). */
static void take_reset(struct streams *s, struct connection *c, const struct arrival *a)
{
	s->work.counts.skipped_outside += a->packet->payload_have;
	if (!c)
		return;
	if (!stream_half_reset_fits(&s->work, &c->half[a->dir], a->packet->seq)) {
		s->work.counts.resets_ignored++;
		return;
	}
	end_and_forget(s, c);
}

static bool ack_fits(const struct connection *c, const struct arrival *a)
{
	const struct stream_half *peer = &c->half[!a->dir];

	if (a->packet->tcp_flags & TCP_SYN)
		return true;
	return peer->state == STREAM_UNKNOWN || stream_in_window(a->packet->ack, peer->next);
}

static void take_payload(struct streams *s, struct connection *c, const struct arrival *a)
{
	const struct packet *p = a->packet;
	struct stream_half *h = &c->half[a->dir];
	struct stream_segment segment = {.seq = a->seq, .bytes = p->payload,
		.have = p->payload_have, .len = p->payload_len, .begins = true,
		.ack_fits = ack_fits(c, a)};
	bool fits = segment.ack_fits;

	s->work.flow = &p->flow;
	if (p->payload_len && !stream_half_segment(&s->work, h, &segment))
		return;
	if (p->tcp_flags & TCP_ACK && fits)
		stream_half_acked(&s->work, &c->half[!a->dir], p->ack);
	if (p->tcp_flags & TCP_FIN)
		stream_half_fin(&s->work, h, a->seq + p->payload_len, fits);
}

static void enlist_or_end(struct streams *s, struct connection *c)
{
	if (stream_half_closed(&c->half[0]) && stream_half_closed(&c->half[1]))
		end_and_forget(s, c);
	else
		enlist(s, c);
}

/* A segment without RST that comes after the SYNs or with data in one. */
static void take_segment(struct streams *s, struct connection *c, const struct arrival *a)
{
	if (c && c->reopening && reopened(s, c, a)) {
		end(s, c);
		forget(s, c);
		c = NULL;
	}
	if (!c)
		c = admit(s, a);
	if (!c)
		return;
	unlist(s, c);
	c->last = s->now;
	table_touch(s->connections, c);
	take_payload(s, c, a);
	enlist_or_end(s, c);
}

static void set_now(struct streams *s, uint64_t now)
{
	if (s->now < now)
		s->now = now;
	s->work.now = s->now;
}

void streams_segment(struct streams *s, const struct packet *p, uint64_t now)
{
	bool syn = p->tcp_flags & TCP_SYN;
	struct arrival a = {.seq = p->seq + syn, .packet = p};
	struct connection *c;

	set_now(s, now);
	s->work.counts.bytes += p->payload_have;
	a.dir = flow_key(&p->flow, &a.key);
	c = table_find(s->connections, &a.key);
	if (p->tcp_flags & TCP_RST) {
		take_reset(s, c, &a);
		return;
	}
	if (!(p->tcp_flags & (TCP_SYN | TCP_ACK))) {
		s->work.counts.skipped_outside += p->payload_have;
		return;
	}
	if (syn)
		take_syn(s, c, &a);
	if (!syn || p->payload_len)
		take_segment(s, c, &a);
}

static bool hole_due(const struct streams *s, const struct connection *c, uint64_t *ret_next)
{
	bool due = false;

	for (int dir = 0; dir < 2; dir++) {
		const struct stream_half *h = &c->half[dir];

		if (!stream_half_waits(h))
			continue;
		if (h->deadline <= s->now)
			due = true;
		else if (h->deadline < *ret_next)
			*ret_next = h->deadline;
	}
	return due;
}

static void expire_holes(struct streams *s)
{
	struct connection *next;

	s->hole_deadline = UINT64_MAX;
	/* One that waits for another hole goes to the young end and is not due again. */
	for (struct connection *c = s->lists[WAITING].oldest; c; c = next) {
		next = c->younger;
		if (!hole_due(s, c, &s->hole_deadline))
			continue;
		unlist(s, c);
		each_half(s, c, stream_half_expire);
		enlist_or_end(s, c);
	}
}

static void expire_idle(struct streams *s)
{
	struct connection *c;

	while ((c = table_oldest(s->connections)) && s->now - c->last >= STREAMS_IDLE_NS) {
		each_half(s, c, stream_half_finish);
		s->work.counts.timed_out++;
		leave_stub(s, c, c->ended);
		forget(s, c);
	}
}

void streams_expire(struct streams *s, uint64_t now)
{
	set_now(s, now);
	if (s->hole_deadline <= s->now)
		expire_holes(s);
	expire_idle(s);
}

uint64_t streams_next_expiry(const struct streams *s)
{
	const struct connection *oldest = table_oldest(s->connections);
	uint64_t idle = oldest ? oldest->last + STREAMS_IDLE_NS : UINT64_MAX;

	return idle < s->hole_deadline ? idle : s->hole_deadline;
}

void streams_drain(struct streams *s)
{
	struct connection *c;

	while ((c = table_oldest(s->connections))) {
		each_half(s, c, stream_half_finish);
		forget(s, c);
	}
	s->hole_deadline = UINT64_MAX;
}

const struct streams_counts *streams_counts(const struct streams *s)
{
	return &s->work.counts;
}

/* Counted one by one, not from the counts: the equation in the header then proves something. */
uint64_t streams_held(const struct streams *s)
{
	uint64_t held = 0;

	for (int list = HOLDING; list < LISTS; list++)
		for (const struct connection *c = s->lists[list].oldest; c; c = c->younger)
			held += stream_half_held(&s->work, &c->half[0]) +
				stream_half_held(&s->work, &c->half[1]);
	return held;
}

size_t streams_count(const struct streams *s)
{
	return table_count(s->connections);
}

size_t streams_memory(const struct streams *s)
{
	return sizeof(*s) + table_memory(s->connections) + table_memory(s->stubs) +
		(size_t)s->work.pool.count * STREAM_BLOCK_SIZE;
}
