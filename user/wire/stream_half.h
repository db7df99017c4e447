/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One direction of a TCP connection: its place in the sequence numbers, what of it is held, and
 * the way from its bytes to messages. wire/streams.h says what is done with holes, doubt and
 * repetition; this is where it is done. Part of the streams room: only wire/streams.c uses it.
 */
#ifndef WIRE_STREAM_HALF_H
#define WIRE_STREAM_HALF_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/dns.h"
#include "wire/stream_pool.h"
#include "wire/stream_runs.h"
#include "wire/stream_search.h"
#include "wire/streams.h"

enum {
	STREAM_PREFIX_LEN = 2,
	/* A message, and enough of the next to see whether it may be one. */
	STREAM_SCRATCH_LEN = 2 * STREAM_PREFIX_LEN + DNS_MESSAGE_MAX + DNS_CLAMP_LEN,
};

enum stream_half_state {
	STREAM_UNKNOWN,   /* no segment yet */
	STREAM_SEARCHING, /* for the beginning of a message; what may hold some is held */
	STREAM_TENTATIVE, /* and from `candidate` on it may be one, when it is whole it will show */
	STREAM_IN_SYNC,
};

struct stream_half {
	uint64_t acked_at;        /* when the other end's acknowledgement last moved */
	uint64_t partial_time;    /* of the youngest segment in partial */
	uint64_t deadline;        /* when the hole is given up; while stream_half_waits */
	uint32_t next;            /* the first byte not yet given to messages */
	uint32_t start;           /* behind the SYN; if started */
	uint32_t fin;             /* behind the last byte; if finned */
	uint32_t acked;           /* by the other end; if acknowledged */
	uint32_t stray;           /* where a next stray segment would continue; if strays */
	uint32_t skip;            /* bytes left of a message with a hole in it; in sync */
	uint32_t partial;         /* run: what is held up to next; or STREAM_NONE */
	uint32_t candidate;       /* offset in partial; while tentative */
	uint32_t blocks;          /* of partial; while not in sync */
	struct stream_runs later; /* what is behind the hole at next */
	uint8_t state;            /* enum stream_half_state */
	uint8_t strays;
	bool started, finned, acknowledged;
};

/* What all directions share, and the packet at hand. */
struct stream_work {
	struct stream_pool pool;
	uint32_t ahead_blocks; /* the most for one direction's runs */
	struct streams_counts counts;
	struct streams_output output;
	/* Makes another connection give up what it holds; false when none holds anything. */
	bool (*make_room)(void *owner);
	void *owner;

	uint64_t now;
	uint64_t time;           /* of the segment that a message is taken from */
	const struct flow *flow; /* the direction at work */

	struct stream_block block;
	uint8_t scratch[STREAM_SCRATCH_LEN];
	struct stream_search search;
};

struct stream_segment {
	uint32_t seq;
	const uint8_t *bytes;
	uint32_t have, len; /* the capture's, the wire's */
	bool begins;        /* not yet cut off at its beginning */
	bool ack_fits;
};

static inline bool stream_in_window(uint32_t a, uint32_t b)
{
	return a - b + STREAMS_WINDOW <= 2U * STREAMS_WINDOW;
}

/* For what fills a hole, or the data before a FIN. */
static inline bool stream_half_waits(const struct stream_half *half)
{
	return half->later.first != STREAM_NONE ||
		(half->finned && stream_distance(half->fin, half->next) > 0);
}

static inline bool stream_half_holds(const struct stream_half *half)
{
	return half->partial != STREAM_NONE || half->later.first != STREAM_NONE;
}

static inline bool stream_half_closed(const struct stream_half *half)
{
	return half->finned && half->fin == half->next && half->later.first == STREAM_NONE;
}

/* In sync, and the next byte is a message's first. */
static inline bool stream_half_between(const struct stream_half *half)
{
	return half->state == STREAM_IN_SYNC && !half->skip && half->partial == STREAM_NONE;
}

void stream_half_init(struct stream_half *half);

/* Takes the segment's payload, which is used up; false where it lies outside. */
bool stream_half_segment(
	struct stream_work *work, struct stream_half *half, struct stream_segment *segment);
/* The direction ends before the sequence number `end`. */
void stream_half_fin(
	struct stream_work *work, struct stream_half *half, uint32_t end, bool ack_fits);
/* The other end has acknowledged all before ack. */
void stream_half_acked(struct stream_work *work, struct stream_half *half, uint32_t ack);
/* Whether a SYN, with data from `first` on, is the one this direction began with. */
bool stream_half_syn_repeated(const struct stream_half *half, uint32_t first);
bool stream_half_reset_fits(
	const struct stream_work *work, const struct stream_half *half, uint32_t seq);

/* Gives up what is due at work->now. */
void stream_half_expire(struct stream_work *work, struct stream_half *half);
/* The end: emits what stands whole behind holes, and counts the rest. */
void stream_half_finish(struct stream_work *work, struct stream_half *half);
/* Gives up all memory for others. */
void stream_half_drop(struct stream_work *work, struct stream_half *half);

/* Bytes held. */
uint32_t stream_half_held(const struct stream_work *work, const struct stream_half *half);

#endif
