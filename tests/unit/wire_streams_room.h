/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of wire/streams share: a list of messages that is sent, and a room that checks
 * whatever comes out against it. Payloads are handed over in blocks of exactly their length, so
 * that a sanitizer sees any byte read behind them, and the equation of wire/streams.h is asked
 * after each segment.
 */
#ifndef WIRE_STREAMS_ROOM_H
#define WIRE_STREAMS_ROOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/streams.h"

#define SECOND UINT64_C(1000000000)
#define MS     UINT64_C(1000000)

enum { BYTES_IN, BYTES_OUT, BYTES_REASON, NOTE };
enum { CLIENT, SERVER };
enum {
	ACK = TCP_ACK,
	CLIENT_ISN = 1000,
	SERVER_ISN = 900000,
	MESSAGES_MAX = 4096,
	STREAM_MAX = 4 << 20,
};

/* A message that was sent is found again by its DNS id, its place in the list. */
struct sent {
	uint32_t at, len; /* in bytes, behind its length */
	uint32_t got;
	uint64_t time;    /* that it must come with; 0: any */
};

struct room {
	struct streams *s;
	uint64_t now, random;
	struct sent sent[MESSAGES_MAX];
	uint32_t count, got;
	uint32_t last;        /* the newest that came out */
	bool ordered;         /* they must come out in order */
	uint8_t *bytes;       /* all messages with their lengths: one direction's stream */
	uint32_t len;
	const uint8_t *payload;
	uint32_t payload_len, in_place;
	uint32_t wrong, ends, empty; /* empty messages are not in the list */
	uint64_t time;
	struct flow end_flow, flow;
	uint16_t port;        /* the client's */
	uint32_t isn[2], next[2];
};

static inline uint32_t below(struct room *r, uint32_t bound)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (uint32_t)(r->random >> 16) % bound;
}

static inline void take_message(
	void *arg, const struct flow *flow, const uint8_t *bytes, uint32_t len, uint64_t time)
{
	struct room *r = arg;
	uint32_t id = len < 2 ? UINT32_MAX : (uint32_t)bytes[0] << 8 | bytes[1];

	if (!len) {
		r->empty++;
		return;
	}
	r->got++;
	r->time = time;
	r->flow = *flow;
	if (r->payload && bytes >= r->payload && bytes < r->payload + r->payload_len)
		r->in_place++;
	if (id >= r->count || len != r->sent[id].len ||
		memcmp(bytes, r->bytes + r->sent[id].at, len) || r->sent[id].got ||
		(r->ordered && id < r->last) ||
		(r->sent[id].time && r->sent[id].time != time)) {
		r->wrong++;
		return;
	}
	r->sent[id].got++;
	r->last = id;
}

static inline void take_end(void *arg, const struct flow *flow)
{
	struct room *r = arg;

	r->ends++;
	r->end_flow = *flow;
}

static inline struct room *new_room_of(size_t max, size_t memory)
{
	struct room *r = calloc(1, sizeof(*r));
	struct streams_output output = {.message = take_message, .end = take_end, .arg = r};

	assert_non_null(r);
	r->bytes = malloc(STREAM_MAX);
	r->s = streams_new(max, memory, &output);
	assert_non_null(r->bytes);
	assert_non_null(r->s);
	r->random = 0x9e3779b97f4a7c15;
	r->now = 1000 * SECOND;
	r->ordered = true;
	r->port = 40000;
	r->isn[CLIENT] = CLIENT_ISN;
	r->isn[SERVER] = SERVER_ISN;
	return r;
}

static inline struct room *new_room(void)
{
	return new_room_of(STREAMS_MAX_DEFAULT, STREAMS_MEMORY_DEFAULT);
}

static inline void assert_balanced(const struct room *r)
{
	const struct streams_counts *c = streams_counts(r->s);
	uint64_t given = 0, taken = 2 * c->messages + streams_held(r->s);

#define ADD(name, kind, text)                                                                      \
	given += (kind) == BYTES_IN ? c->name : 0;                                                 \
	taken += (kind) == BYTES_OUT || (kind) == BYTES_REASON ? c->name : 0;
	STREAMS_COUNTS_LIST(ADD)
#undef ADD
	assert_int_equal(given, taken);
	assert_int_equal(c->messages, r->got + r->empty);
	assert_int_equal(r->wrong, 0);
}

static inline void free_room(struct room *r)
{
	streams_drain(r->s);
	assert_balanced(r);
	assert_int_equal(streams_held(r->s), 0);
	assert_int_equal(streams_count(r->s), 0);
	streams_free(r->s);
	free(r->bytes);
	free(r);
}

static inline struct flow flow_of(const struct room *r, int side)
{
	struct flow flow = {.src = {192, 0, 2, 1}, .dst = {192, 0, 2, 53}, .dst_port = 53,
		.family = FAMILY_IPV4, .protocol = 6};

	flow.src_port = r->port;
	return side == CLIENT ? flow : flow_reversed(&flow);
}

static inline uint8_t *put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at + 2;
}

/* Random bytes, of three sorts: any, mostly zero, and the beginning of messages. */
static inline void fill(struct room *r, uint8_t *at, uint32_t len)
{
	uint32_t sort = below(r, 3);

	for (uint32_t i = 0; i < len; i++)
		at[i] = sort == 1 && below(r, 8) ? 0 : (uint8_t)below(r, 256);
	if (sort == 2 && len >= 14)
		memcpy(at, "\x00\x20\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 14);
}

static inline uint8_t *add_record(struct room *r, uint8_t *at, uint32_t rdata)
{
	at = put16(at, 0xc00c);
	at = put16(at, 16);
	at = put16(at, 1);
	at = put16(at, 0);
	at = put16(at, 300);
	at = put16(at, rdata);
	fill(r, at, rdata);
	return at + rdata;
}

/* Adds a whole message: a question, and a record that brings it to about len where it fits. */
static inline void add_message(struct room *r, uint32_t len)
{
	uint8_t *start = r->bytes + r->len, *at = start + 2;
	uint32_t record = len < 33 + 12 ? 0 : 1;

	assert_true(r->count < MESSAGES_MAX && r->len + len + 64 < STREAM_MAX);
	at = put16(at, r->count);
	at = put16(at, record ? 0x8180 : 0x0100);
	at = put16(at, 1);
	at = put16(at, record);
	at = put16(at, 0);
	at = put16(at, 0);
	memcpy(at, "\x07" "example" "\x03" "org", 13);
	at = put16(put16(at + 13, 16), 1);
	if (record)
		at = add_record(r, at, len - 29 - 12);
	put16(start, (uint32_t)(at - start - 2));
	r->sent[r->count++] = (struct sent){.at = r->len + 2, .len = (uint32_t)(at - start - 2)};
	r->len += (uint32_t)(at - start);
}

static inline void add_messages(struct room *r, uint32_t count, uint32_t len_max)
{
	while (count--)
		add_message(r, below(r, 4) ? below(r, 200) : below(r, len_max));
}

static inline void give(struct room *r, int side, uint32_t seq, uint8_t flags, const uint8_t *bytes,
	uint32_t have, uint32_t len)
{
	struct packet p = {.kind = PACKET_SEGMENT, .flow = flow_of(r, side), .seq = seq,
		.tcp_flags = flags, .payload_have = have, .payload_len = len,
		.ack = flags & ACK ? r->next[!side] : 0};
	uint8_t *copy = malloc(have ? have : 1);

	assert_non_null(copy);
	if (have)
		memcpy(copy, bytes, have);
	p.payload = r->payload = copy;
	r->payload_len = have;
	streams_segment(r->s, &p, r->now);
	free(copy);
	r->payload = NULL;
	assert_balanced(r);
}

/* The stream's bytes from `at` on, in one segment of this side. */
static inline void give_at(struct room *r, int side, uint32_t at, uint32_t len)
{
	give(r, side, r->isn[side] + 1 + at, ACK, r->bytes + at, len, len);
	if ((int32_t)(r->isn[side] + 1 + at + len - r->next[side]) > 0)
		r->next[side] = r->isn[side] + 1 + at + len;
}

static inline void open_connection(struct room *r)
{
	r->next[CLIENT] = r->isn[CLIENT] + 1;
	give(r, CLIENT, r->isn[CLIENT], TCP_SYN, NULL, 0, 0);
	give(r, SERVER, r->isn[SERVER], TCP_SYN | ACK, NULL, 0, 0);
	r->next[SERVER] = r->isn[SERVER] + 1;
}

static inline void expire(struct room *r, uint64_t after)
{
	r->now += after;
	streams_expire(r->s, r->now);
	assert_balanced(r);
}

static inline uint32_t missing(const struct room *r)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < r->count; i++)
		lost += !r->sent[i].got;
	return lost;
}

struct cut {
	uint32_t at, len;
};

/* Cuts [0, len) at random, with repetitions and overlaps, and mixes neighbours. */
static inline uint32_t cut_stream(
	struct room *r, struct cut *cuts, uint32_t longest, uint32_t reach)
{
	uint32_t count = 0;

	for (uint32_t at = 0; at < r->len;) {
		uint32_t len = 1 + below(r, longest), before = below(r, 3) ? 0 : below(r, 50);

		before = before < at ? before : at;
		len = len < r->len - at ? len : r->len - at;
		cuts[count++] = (struct cut){at - before, len + before};
		at += len;
		if (!below(r, 10)) {
			cuts[count] = cuts[below(r, count)];
			count++;
		}
	}
	for (uint32_t i = 0; i < count && reach; i++) {
		uint32_t other = i + below(r, reach < count - i ? reach : count - i);
		struct cut moved = cuts[i];

		cuts[i] = cuts[other];
		cuts[other] = moved;
	}
	return count;
}

#endif
