/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever way a list of messages is cut into segments, mixed and repeated, it comes out as it
 * went in; whatever is lost, forged or joined in the middle, nothing comes out that was not sent.
 * Payloads are handed over in blocks of exactly their length, so that a sanitizer sees any byte
 * read behind them, and the equation of wire/streams.h is asked after each segment.
 */
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

static uint32_t below(struct room *r, uint32_t bound)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (uint32_t)(r->random >> 16) % bound;
}

static void take_message(
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
		(r->ordered && id < r->last)) {
		r->wrong++;
		return;
	}
	r->sent[id].got++;
	r->last = id;
}

static void take_end(void *arg, const struct flow *flow)
{
	struct room *r = arg;

	r->ends++;
	r->end_flow = *flow;
}

static struct room *new_room_of(size_t max, size_t memory)
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

static struct room *new_room(void)
{
	return new_room_of(STREAMS_MAX_DEFAULT, STREAMS_MEMORY_DEFAULT);
}

static void assert_balanced(const struct room *r)
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

static void free_room(struct room *r)
{
	streams_drain(r->s);
	assert_balanced(r);
	assert_int_equal(streams_held(r->s), 0);
	assert_int_equal(streams_count(r->s), 0);
	streams_free(r->s);
	free(r->bytes);
	free(r);
}

/* The same streams room, before anything was sent or came out. */
static void forget_messages(struct room *r)
{
	memset(r->sent, 0, sizeof(r->sent));
	r->count = r->last = r->len = 0;
}

static struct flow flow_of(const struct room *r, int side)
{
	struct flow flow = {.src = {192, 0, 2, 1}, .dst = {192, 0, 2, 53}, .dst_port = 53,
		.family = FAMILY_IPV4, .protocol = 6};

	flow.src_port = r->port;
	return side == CLIENT ? flow : flow_reversed(&flow);
}

static uint8_t *put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at + 2;
}

/* Random bytes, of three sorts: any, mostly zero, and the beginning of messages. */
static void fill(struct room *r, uint8_t *at, uint32_t len)
{
	uint32_t sort = below(r, 3);

	for (uint32_t i = 0; i < len; i++)
		at[i] = sort == 1 && below(r, 8) ? 0 : (uint8_t)below(r, 256);
	if (sort == 2 && len >= 14)
		memcpy(at, "\x00\x20\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 14);
}

static uint8_t *add_record(struct room *r, uint8_t *at, uint32_t rdata)
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
static void add_message(struct room *r, uint32_t len)
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

static void add_messages(struct room *r, uint32_t count, uint32_t len_max)
{
	while (count--)
		add_message(r, below(r, 4) ? below(r, 200) : below(r, len_max));
}

static void give(struct room *r, int side, uint32_t seq, uint8_t flags, const uint8_t *bytes,
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
static void give_at(struct room *r, int side, uint32_t at, uint32_t len)
{
	give(r, side, r->isn[side] + 1 + at, ACK, r->bytes + at, len, len);
	if ((int32_t)(r->isn[side] + 1 + at + len - r->next[side]) > 0)
		r->next[side] = r->isn[side] + 1 + at + len;
}

static void open_connection(struct room *r)
{
	r->next[CLIENT] = r->isn[CLIENT] + 1;
	give(r, CLIENT, r->isn[CLIENT], TCP_SYN, NULL, 0, 0);
	give(r, SERVER, r->isn[SERVER], TCP_SYN | ACK, NULL, 0, 0);
	r->next[SERVER] = r->isn[SERVER] + 1;
}

static void expire(struct room *r, uint64_t after)
{
	r->now += after;
	streams_expire(r->s, r->now);
	assert_balanced(r);
}

static uint32_t missing(const struct room *r)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < r->count; i++)
		lost += !r->sent[i].got;
	return lost;
}

static void bounds_are_kept_by_new(void **state)
{
	struct streams_output output = {.message = take_message, .end = take_end};

	(void)state;
	assert_null(streams_new(0, STREAMS_MEMORY_DEFAULT, &output));
	assert_null(streams_new(STREAMS_MAX_MAX + 1, STREAMS_MEMORY_DEFAULT, &output));
	assert_null(streams_new(1, STREAMS_MEMORY_MIN - 1, &output));
	assert_null(streams_new(1, (size_t)STREAMS_MEMORY_MAX + 1, &output));
	streams_free(NULL);
}

static void messages_in_order_are_given_in_place(void **state)
{
	struct room *r = new_room();
	struct flow client = flow_of(r, CLIENT);

	(void)state;
	add_messages(r, 50, 3000);
	open_connection(r);
	assert_int_equal(streams_count(r->s), 0);
	for (uint32_t i = 0; i < 40; i++)
		give_at(r, CLIENT, r->sent[i].at - 2, r->sent[i].len + 2);
	give_at(r, CLIENT, r->sent[40].at - 2, r->len - r->sent[40].at + 2);
	assert_int_equal(r->got, 50);
	assert_int_equal(r->in_place, 50);
	assert_memory_equal(&r->flow, &client, sizeof(client));
	assert_int_equal(r->time, r->now);
	assert_int_equal(streams_counts(r->s)->resynchronised, 0);
	assert_int_equal(streams_next_expiry(r->s), r->now + STREAMS_IDLE_NS);
	free_room(r);
}

struct cut {
	uint32_t at, len;
};

/* Cuts [0, len) at random, with repetitions and overlaps, and mixes neighbours. */
static uint32_t cut_stream(struct room *r, struct cut *cuts, uint32_t longest, uint32_t reach)
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

static void any_cut_in_any_order_gives_the_list(void **state)
{
	struct cut *cuts = calloc(STREAM_MAX, sizeof(*cuts));
	static const uint32_t longest[] = {1, 2, 20, 200, 1460, 70000};

	(void)state;
	assert_non_null(cuts);
	for (uint32_t round = 0; round < 600; round++) {
		struct room *r = new_room();
		uint32_t size = longest[round % 6], count;

		r->random += round * 7919;
		r->isn[SERVER] = round % 2 ? 0xffffff00 - below(r, 3000) : below(r, UINT32_MAX);
		add_messages(r, 1 + below(r, 20), size <= 20 ? 300 : 40000);
		count = cut_stream(r, cuts, size, round % 5 * 40);
		open_connection(r);
		for (uint32_t i = 0; i < count; i++)
			give_at(r, SERVER, cuts[i].at, cuts[i].len);
		assert_int_equal(r->got, r->count);
		assert_int_equal(streams_counts(r->s)->holes, 0);
		assert_int_equal(streams_held(r->s), 0);
		free_room(r);
	}
	free(cuts);
}

static void one_byte_a_segment_backwards(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_messages(r, 3, 400);
	open_connection(r);
	for (uint32_t at = r->len; at--;)
		give_at(r, CLIENT, at, 1);
	assert_int_equal(r->got, 3);
	free_room(r);
}

static void the_first_copy_of_a_byte_wins(void **state)
{
	struct room *r = new_room();
	uint8_t other[64];

	(void)state;
	memset(other, 0xee, sizeof(other));
	add_message(r, 200);
	open_connection(r);
	give_at(r, SERVER, 100, 50);
	give(r, SERVER, SERVER_ISN + 1 + 90, ACK, other, 0, 0);
	give(r, SERVER, SERVER_ISN + 1 + 100, ACK, other, 64 - 14, 64 - 14);
	give_at(r, SERVER, 0, 100);
	give(r, SERVER, SERVER_ISN + 1 + 120, ACK, other, 30, 30);
	give_at(r, SERVER, 150, r->len - 150);
	assert_int_equal(r->got, 1);
	assert_int_equal(streams_counts(r->s)->bytes_retransmitted, 80);
	assert_int_equal(streams_counts(r->s)->segments_retransmitted, 2);
	free_room(r);
}

static void both_directions_are_apart(void **state)
{
	struct room *r = new_room();

	(void)state;
	r->ordered = false;
	add_messages(r, 400, 5000);
	open_connection(r);
	/* The two streams have the same bytes, each message sent by one side only. */
	for (uint32_t i = 0; i < r->count; i++) {
		int side = (int)below(r, 2);
		uint32_t half = r->sent[i].len / 2;

		give(r, side, r->next[side], ACK, r->bytes + r->sent[i].at - 2, half, half);
		r->next[side] += half;
		half = r->sent[i].len + 2 - half;
		give(r, side, r->next[side], ACK,
			r->bytes + r->sent[i].at + r->sent[i].len - half, half, half);
		r->next[side] += half;
	}
	assert_int_equal(r->got, r->count);
	assert_int_equal(streams_count(r->s), 1);
	free_room(r);
}

static void a_zone_transfer_and_the_largest_messages(void **state)
{
	struct room *r = new_room();
	uint32_t at = 0;

	(void)state;
	for (int i = 0; i < 3000; i++)
		add_message(r, 900);
	for (int i = 0; i < 8; i++)
		add_message(r, 65535);
	assert_int_equal(r->sent[3007].len, 65535);
	open_connection(r);
	while (at < r->len) {
		uint32_t len = below(r, 3) ? 1448 : below(r, 512 << 10);

		len = len < r->len - at ? len : r->len - at;
		give_at(r, SERVER, at, len);
		at += len;
	}
	assert_int_equal(r->got, 3008);
	free_room(r);
}

static void fast_open(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_messages(r, 4, 300);
	r->next[CLIENT] = r->isn[CLIENT] + 1;
	give(r, CLIENT, r->isn[CLIENT], TCP_SYN, r->bytes, r->sent[1].at - 2, r->sent[1].at - 2);
	assert_int_equal(r->got, 1);
	r->next[CLIENT] += r->sent[1].at - 2;
	give(r, SERVER, r->isn[SERVER], TCP_SYN | ACK, NULL, 0, 0);
	/* A server without the cookie takes no data: they come again. */
	give_at(r, CLIENT, 0, r->sent[1].at - 2);
	assert_int_equal(r->got, 1);
	/* The answer's first bytes are in sync, known from the SYN alone: no search. */
	give(r, SERVER, r->isn[SERVER] + 1, ACK, r->bytes + r->sent[1].at - 2, 1, 1);
	give(r, SERVER, r->isn[SERVER] + 2, ACK, r->bytes + r->sent[1].at - 1,
		r->sent[1].len + 1, r->sent[1].len + 1);
	assert_int_equal(r->got, 2);
	assert_int_equal(streams_counts(r->s)->resynchronised, 0);
	free_room(r);
}

static void keep_alives_change_nothing(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_messages(r, 3, 300);
	open_connection(r);
	for (uint32_t i = 0; i < 3; i++) {
		give(r, CLIENT, r->next[CLIENT] - 1, ACK, (const uint8_t *)"x", 1, 1);
		give(r, CLIENT, r->next[CLIENT] - 1, ACK, NULL, 0, 0);
		give_at(r, CLIENT, r->sent[i].at - 2, r->sent[i].len + 2);
	}
	assert_int_equal(r->got, 3);
	assert_int_equal(streams_counts(r->s)->bytes_retransmitted, 3);
	free_room(r);
}

static void the_end_is_told_once(void **state)
{
	struct room *r = new_room();
	uint32_t half;

	(void)state;
	add_messages(r, 2, 300);
	half = r->sent[1].at - 2;
	open_connection(r);
	give_at(r, CLIENT, 0, half - 5);
	/* The FIN comes before the data before it. */
	give(r, CLIENT, r->isn[CLIENT] + 1 + half, ACK | TCP_FIN, NULL, 0, 0);
	give(r, SERVER, r->next[SERVER], ACK | TCP_FIN, NULL, 0, 0);
	assert_int_equal(r->ends, 0);
	give_at(r, CLIENT, half - 5, 5);
	assert_int_equal(r->got, 1);
	give(r, CLIENT, r->isn[CLIENT] + 1 + half, ACK | TCP_FIN, NULL, 0, 0);
	assert_int_equal(r->ends, 1);
	assert_int_equal(streams_count(r->s), 0);
	/* What comes again after the end is known for what it is. */
	give(r, CLIENT, r->isn[CLIENT] + 1, ACK | TCP_FIN, r->bytes, half, half);
	give(r, CLIENT, r->isn[CLIENT] + 2 + half, ACK | TCP_RST, NULL, 0, 0);
	assert_int_equal(r->ends, 1);
	assert_int_equal(streams_counts(r->s)->bytes_retransmitted, half);
	free_room(r);
}

static void reset_ends_only_where_it_fits(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_messages(r, 6, 300);
	open_connection(r);
	give_at(r, CLIENT, 0, r->sent[2].at - 2);
	give_at(r, CLIENT, r->sent[2].at - 2, 7);
	for (int i = 0; i < 10000; i++) {
		uint32_t seq = r->next[CLIENT] + 1 + below(r, UINT32_MAX - 1);

		give(r, CLIENT, seq, TCP_RST, NULL, 0, 0);
	}
	assert_int_equal(r->ends, 0);
	assert_int_equal(streams_counts(r->s)->resets_ignored, 10000);
	/* The server never sent a byte that was seen: the client's acknowledgement tells. */
	give(r, SERVER, r->next[SERVER], TCP_RST, (const uint8_t *)"no", 2, 2);
	assert_int_equal(r->ends, 1);
	assert_int_equal(streams_counts(r->s)->skipped_unfinished, 7);
	give(r, SERVER, r->next[SERVER], TCP_RST, NULL, 0, 0);
	/* Data that was on its way goes on, and does not end again. */
	give_at(r, CLIENT, r->sent[2].at + 5, r->sent[4].at - r->sent[2].at - 7);
	give(r, SERVER, r->next[SERVER], TCP_RST, NULL, 0, 0);
	assert_int_equal(r->ends, 1);
	free_room(r);
}

static void a_new_syn_ends_the_old_connection(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_messages(r, 5, 300);
	open_connection(r);
	give_at(r, CLIENT, 0, r->sent[1].at - 2);
	/* A forged SYN does nothing to those who go on. */
	give(r, CLIENT, 77777777, TCP_SYN, NULL, 0, 0);
	give_at(r, CLIENT, r->sent[1].at - 2, r->sent[1].len + 2);
	/* Nor does the old one, come again. */
	give(r, CLIENT, r->isn[CLIENT], TCP_SYN, NULL, 0, 0);
	give_at(r, CLIENT, 0, r->sent[1].at - 2);
	assert_int_equal(r->ends, 0);
	assert_int_equal(r->got, 2);
	give_at(r, CLIENT, r->sent[2].at - 2, 9);
	r->isn[CLIENT] = 0x80000000 - r->sent[2].at;
	r->isn[SERVER] = 5;
	open_connection(r);
	give(r, CLIENT, r->isn[CLIENT] + 1, ACK, r->bytes + r->sent[2].at - 2,
		r->sent[2].len + 2, r->sent[2].len + 2);
	assert_int_equal(r->ends, 1);
	assert_int_equal(r->got, 3);
	assert_int_equal(streams_counts(r->s)->skipped_unfinished, 9);
	assert_int_equal(streams_counts(r->s)->resynchronised, 0);
	free_room(r);
}

/* A stream of one message a segment or several, each beginning a segment; some are lost. */
static void lost_segments_cost_only_their_messages(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 400; round++) {
		struct room *r = new_room();
		uint32_t touched = 0, clean = 0;

		r->random += round;
		add_messages(r, 60, 6000);
		if (round % 4)
			open_connection(r);
		for (uint32_t i = 0; i < r->count; i++) {
			uint32_t at = r->sent[i].at - 2, len = r->sent[i].len + 2;
			bool whole = true;

			while (len) {
				uint32_t part = len < 1460 ? len : 1460;

				r->now += MS;
				if (i + 3 < r->count && !below(r, 12))
					whole = false;
				else
					give_at(r, SERVER, at, part);
				at += part;
				len -= part;
			}
			touched += !whole;
			clean += whole;
		}
		expire(r, 3 * SECOND);
		assert_true(r->got <= clean);
		/* A lost beginning may take what follows in its own message's segments. */
		assert_int_equal(missing(r), touched);
		assert_int_equal(streams_held(r->s), 0);
		free_room(r);
	}
}

/* Segments that begin anywhere: much more may be lost, and still nothing is invented. */
static void lost_segments_never_invent_messages(void **state)
{
	struct cut *cuts = calloc(STREAM_MAX, sizeof(*cuts));

	(void)state;
	assert_non_null(cuts);
	for (uint32_t round = 0; round < 600; round++) {
		struct room *r = new_room_of(2, STREAMS_MEMORY_MIN);
		uint32_t count, body;

		r->random += round;
		add_messages(r, 80, 3000);
		body = r->len;
		count = cut_stream(r, cuts, 1 + below(r, 3000), round % 3 * 5);
		add_messages(r, 3, 500);
		if (round % 2)
			open_connection(r);
		for (uint32_t i = 0; i < count; i++) {
			r->now += below(r, 100) ? MS : 3 * SECOND;
			if (below(r, 10))
				give_at(r, SERVER, cuts[i].at, cuts[i].len);
		}
		expire(r, 3 * SECOND);
		r->next[SERVER] = r->isn[SERVER] + 1 + body;
		for (uint32_t i = 80; i < 83; i++) {
			give_at(r, SERVER, r->sent[i].at - 2, r->sent[i].len + 2);
			expire(r, 3 * SECOND);
			/* A message with a hole may reach over the first of them. */
			assert_true(r->sent[i].got || i == 80);
		}
		free_room(r);
	}
	free(cuts);
}

static void a_hole_inside_a_message_keeps_the_sync(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_message(r, 20000);
	add_message(r, 3000);
	open_connection(r);
	give_at(r, SERVER, 0, 1460);
	/* From here on no segment begins with a message. */
	for (uint32_t at = 2920; at < r->len; at += 1460)
		give_at(r, SERVER, at, r->len - at < 1460 ? r->len - at : 1460);
	assert_int_equal(r->got, 0);
	assert_true(streams_next_expiry(r->s) == r->now + STREAMS_HOLE_NS);
	expire(r, STREAMS_HOLE_NS - 1);
	assert_int_equal(r->got, 0);
	r->time = 0;
	expire(r, 1);
	assert_int_equal(r->got, 1);
	assert_int_equal(r->sent[1].got, 1);
	assert_int_equal(r->time, r->now - STREAMS_HOLE_NS);
	assert_int_equal(streams_counts(r->s)->holes, 1);
	assert_int_equal(streams_counts(r->s)->bytes_missing, 1460);
	assert_int_equal(streams_counts(r->s)->resynchronised, 0);
	free_room(r);
}

static void an_acknowledged_hole_is_given_up_soon(void **state)
{
	struct room *r = new_room();
	uint32_t server_next;

	(void)state;
	r->ordered = false;
	add_messages(r, 4, 300);
	open_connection(r);
	/* The first query is lost, its answer seen. */
	r->next[CLIENT] += r->sent[0].len + 2;
	server_next = r->next[SERVER];
	give(r, SERVER, server_next, ACK, r->bytes + r->sent[1].at - 2, r->sent[1].len + 2,
		r->sent[1].len + 2);
	r->next[SERVER] += r->sent[1].len + 2;
	assert_int_equal(r->got, 1);
	r->now += MS;
	give(r, CLIENT, r->next[CLIENT], ACK, r->bytes + r->sent[2].at - 2, r->sent[2].len + 2,
		r->sent[2].len + 2);
	assert_int_equal(r->got, 1);
	expire(r, STREAMS_SKEW_NS - MS);
	assert_int_equal(r->got, 2);
	free_room(r);
}

/* The tap starts at each byte of a stream in turn. */
static void starting_anywhere_never_invents_messages(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 40; round++) {
		struct room *r = new_room();
		uint32_t segment = round % 2 ? 1 + below(r, 1460) : 1460;

		r->random += round;
		add_messages(r, 40, 2000);
		for (uint32_t start = 0; start < r->len - 1; start += 1 + round) {
			for (uint32_t i = 0; i < r->count; i++)
				r->sent[i].got = 0;
			r->last = 0;
			r->port++;
			for (uint32_t at = start; at < r->len; at += segment) {
				uint32_t left = r->len - at;

				give_at(r, SERVER, at, left < segment ? left : segment);
			}
		}
		streams_drain(r->s);
		free_room(r);
	}
}

static void a_message_is_found_in_an_open_connection(void **state)
{
	struct room *r = new_room();
	uint32_t at;

	(void)state;
	add_message(r, 500);
	add_message(r, 40);
	add_message(r, 5000);
	add_message(r, 70);
	/* The end of one, then the length of the next in a segment of its own. */
	give_at(r, SERVER, 100, r->sent[1].at - 2 - 100);
	assert_int_equal(streams_count(r->s), 0);
	at = r->sent[1].at;
	give_at(r, SERVER, at - 2, 2);
	give_at(r, SERVER, at, r->sent[1].len);
	assert_int_equal(r->got, 1);
	/* And one in pieces. */
	r->port++;
	at = r->sent[2].at - 2;
	give_at(r, SERVER, at, 1000);
	give_at(r, SERVER, at + 1000, 1000);
	give_at(r, SERVER, at + 2000, r->len - at - 2000);
	assert_int_equal(r->got, 3);
	assert_int_equal(streams_counts(r->s)->resynchronised, 2);
	free_room(r);
}

static void captures_cut_short_lose_only_what_was_cut(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_messages(r, 30, 3000);
	open_connection(r);
	for (uint32_t i = 0; i < r->count; i++) {
		uint32_t len = r->sent[i].len + 2;

		give(r, SERVER, r->next[SERVER], ACK, r->bytes + r->sent[i].at - 2,
			len < 100 ? len : 100, len);
		r->next[SERVER] += len;
		assert_int_equal(r->sent[i].got, len <= 100);
	}
	free_room(r);
}

/* Forged segments that do not know the numbers leave a connection as it is. */
static void forged_segments_do_not_derail(void **state)
{
	struct room *r = new_room();
	uint8_t junk[100] = {0};

	(void)state;
	add_messages(r, 1000, 300);
	open_connection(r);
	give(r, SERVER, r->next[SERVER], ACK, junk, 2, 2);
	for (uint32_t i = 0; i < r->count; i++) {
		struct packet p = {.kind = PACKET_SEGMENT, .flow = flow_of(r, CLIENT),
			.tcp_flags = ACK, .payload = junk, .payload_have = 100,
			.payload_len = 100};

		for (int n = 0; n < 100; n++) {
			p.seq = below(r, UINT32_MAX);
			p.ack = below(r, UINT32_MAX);
			streams_segment(r->s, &p, r->now);
		}
		r->now += MS;
		give_at(r, CLIENT, r->sent[i].at - 2, r->sent[i].len + 2);
	}
	assert_int_equal(missing(r), 0);
	free_room(r);
}

static void strays_that_go_on_are_followed(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_messages(r, 10, 300);
	open_connection(r);
	give_at(r, CLIENT, 0, r->sent[1].at - 2);
	/* The tap was away for longer than the window. */
	r->isn[CLIENT] += 100 << 20;
	for (uint32_t i = 1; i < r->count; i++)
		give_at(r, CLIENT, r->sent[i].at - 2, r->sent[i].len + 2);
	assert_int_equal(missing(r), STREAMS_STRAYS - 1);
	free_room(r);
}

static void the_idlest_connection_goes_and_comes_back(void **state)
{
	struct room *r = new_room_of(4, STREAMS_MEMORY_MIN);

	(void)state;
	r->ordered = false;
	add_messages(r, 9, 300);
	for (uint32_t i = 0; i < 8; i++) {
		r->port = (uint16_t)(40000 + i);
		open_connection(r);
		give(r, SERVER, SERVER_ISN + 1, ACK, r->bytes + r->sent[i].at - 2,
			r->sent[i].len + 2, r->sent[i].len + 2);
	}
	assert_int_equal(streams_count(r->s), 4);
	assert_int_equal(streams_counts(r->s)->evicted, 4);
	/* The first goes on where it was, one byte a segment: never out of sync. */
	r->port = 40000;
	for (uint32_t i = 0; i < r->sent[8].len + 2; i++)
		give(r, SERVER, SERVER_ISN + 1 + r->sent[0].len + 2 + i, ACK,
			r->bytes + r->sent[8].at - 2 + i, 1, 1);
	assert_int_equal(r->got, 9);
	assert_int_equal(streams_counts(r->s)->resynchronised, 0);
	free_room(r);
}

static void idle_connections_time_out_and_come_back(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_messages(r, 3, 300);
	open_connection(r);
	give_at(r, CLIENT, 0, r->sent[1].at - 2);
	expire(r, STREAMS_IDLE_NS - 1);
	assert_int_equal(streams_count(r->s), 1);
	expire(r, 1);
	assert_int_equal(streams_count(r->s), 0);
	assert_int_equal(streams_counts(r->s)->timed_out, 1);
	assert_int_equal(streams_next_expiry(r->s), UINT64_MAX);
	r->now += SECOND;
	give_at(r, CLIENT, r->sent[1].at - 2, 1);
	give_at(r, CLIENT, r->sent[1].at - 1, r->sent[1].len + 1);
	assert_int_equal(r->got, 2);
	/* The clock may go back; time then stands still. */
	r->now -= 3000 * SECOND;
	give_at(r, CLIENT, r->sent[2].at - 2, r->sent[2].len + 2);
	assert_int_equal(r->got, 3);
	free_room(r);
}

/* Many that begin a message and stop: memory has its bound, and the busy ones go on. */
static void slow_streams_give_way(void **state)
{
	struct room *r = new_room_of(20000, STREAMS_MEMORY_MIN);
	uint8_t begin[3] = {0xff, 0xff, 0};

	(void)state;
	add_messages(r, 1000, 60000);
	open_connection(r);
	for (uint32_t i = 0; i < r->count; i++) {
		uint32_t at = r->sent[i].at - 2, len = r->sent[i].len + 2, half = len / 2;
		uint16_t port = r->port;
		uint32_t next = r->next[SERVER];

		give_at(r, CLIENT, at, half);
		for (uint32_t n = 0; n < 10; n++) {
			r->port = (uint16_t)(1000 + (i * 10 + n));
			if (r->port == port)
				continue;
			give(r, CLIENT, 99, TCP_SYN, NULL, 0, 0);
			r->next[SERVER] = 0;
			give(r, CLIENT, 100, ACK, begin, 3, 3);
		}
		r->port = port;
		r->next[SERVER] = next;
		r->now += MS;
		give_at(r, CLIENT, at + half, len - half);
	}
	assert_int_equal(missing(r), 0);
	assert_true(streams_counts(r->s)->evicted_memory > 9000);
	free_room(r);
}

static void a_flood_of_half_open_streams_costs_nothing(void **state)
{
	struct room *r = new_room();
	size_t memory = streams_memory(r->s);
	struct packet p = {.kind = PACKET_SEGMENT, .flow = flow_of(r, CLIENT)};

	(void)state;
	add_messages(r, 1000, 3000);
	open_connection(r);
	for (uint32_t i = 0; i < r->count; i++) {
		uint32_t at = r->sent[i].at - 2, half = r->sent[i].len / 2;

		give_at(r, CLIENT, at, half);
		for (uint32_t n = 0; n < 200; n++) {
			p.flow.src[0] = 10;
			p.flow.src[2] = (uint8_t)(i >> 8);
			p.flow.src[3] = (uint8_t)i;
			p.flow.src_port = (uint16_t)(1024 + n);
			p.seq = below(r, UINT32_MAX);
			p.tcp_flags = TCP_SYN;
			streams_segment(r->s, &p, r->now);
		}
		give_at(r, CLIENT, at + half, r->sent[i].len + 2 - half);
	}
	assert_int_equal(r->got, 1000);
	assert_int_equal(streams_count(r->s), 1);
	assert_int_equal(streams_memory(r->s), memory);
	assert_true(memory < 26 << 20);
	free_room(r);
}

/* Behind holes only so much is kept: of one direction an eighth of the memory. */
static void what_is_behind_a_hole_is_bounded(void **state)
{
	struct room *r = new_room();
	uint32_t most = 0;

	(void)state;
	add_message(r, 1000);
	for (int i = 0; i < 3000; i++)
		add_message(r, 1200);
	open_connection(r);
	for (uint32_t i = 1; i < r->count; i++) {
		give_at(r, SERVER, r->sent[i].at - 2, r->sent[i].len + 2);
		if (streams_held(r->s) > most)
			most = (uint32_t)streams_held(r->s);
	}
	assert_true(most <= STREAMS_MEMORY_DEFAULT / 8);
	assert_true(most > STREAMS_MEMORY_DEFAULT / 8 * 9 / 10);
	expire(r, 2 * SECOND);
	assert_int_equal(missing(r), 1);
	assert_int_equal(streams_counts(r->s)->holes, 1);
	free_room(r);
}

static void many_holes_are_bounded(void **state)
{
	struct room *r = new_room();

	(void)state;
	for (int i = 0; i < 2000; i++)
		add_message(r, 60);
	open_connection(r);
	for (uint32_t i = 1; i < r->count; i += 2) {
		r->now += 20 * MS;
		give_at(r, SERVER, r->sent[i].at - 2, r->sent[i].len + 2);
	}
	expire(r, 3 * SECOND);
	assert_int_equal(missing(r), 1000);
	assert_int_equal(streams_held(r->s), 0);
	free_room(r);
}

static void drain_gives_what_stands_whole(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_messages(r, 5, 300);
	open_connection(r);
	give_at(r, CLIENT, 0, 5);
	give_at(r, CLIENT, r->sent[1].at - 2, r->len - r->sent[1].at + 2 - 3);
	assert_int_equal(r->got, 0);
	streams_drain(r->s);
	assert_int_equal(r->got, 3);
	assert_int_equal(r->ends, 0);
	free_room(r);
}

/* What the receiver of messages may rely on under any input: they lie inside the bounds. */
struct hostile {
	struct streams *s;
	uint64_t messages, ends, sum;
};

static void hostile_message(
	void *arg, const struct flow *flow, const uint8_t *bytes, uint32_t len, uint64_t time)
{
	struct hostile *h = arg;

	(void)time;
	assert_int_equal(flow->protocol, 6);
	assert_true(len <= 65535);
	for (uint32_t i = 0; i < len; i++)
		h->sum += bytes[i];
	h->messages++;
}

static void hostile_end(void *arg, const struct flow *flow)
{
	(void)flow;
	((struct hostile *)arg)->ends++;
}

static uint32_t hostile_seq(struct room *r, uint32_t base)
{
	switch (below(r, 8)) {
	case 0:
		return below(r, UINT32_MAX);
	case 1:
		return base + below(r, 9 << 20) - (4 << 20);
	default:
		return base + below(r, 6000) - 1000;
	}
}

static void hostile_segment(struct room *r, struct hostile *h, uint32_t *base)
{
	static const uint8_t flags[] = {ACK, ACK, ACK, ACK, ACK, ACK, TCP_SYN, TCP_SYN | ACK,
		ACK | TCP_FIN, TCP_RST, 0};
	struct packet p = {.kind = PACKET_SEGMENT, .flow = flow_of(r, (int)below(r, 2))};
	uint32_t len = below(r, 200) ? below(r, 3) * below(r, 800) : below(r, 200000);
	uint8_t *bytes = malloc(len ? len : 1);

	assert_non_null(bytes);
	if (len)
		memcpy(bytes, r->bytes + below(r, r->len - len), len);
	p.payload = bytes;
	p.payload_have = len;
	p.payload_len = below(r, 10) ? len : len + below(r, 3000);
	p.tcp_flags = below(r, 50) ? flags[below(r, 6)] : flags[below(r, sizeof(flags))];
	p.seq = hostile_seq(r, *base);
	p.ack = hostile_seq(r, *base);
	if (!below(r, 4))
		*base += len;
	r->now += below(r, 1000) ? below(r, 3) * MS : below(r, 200) * SECOND;
	streams_segment(h->s, &p, r->now);
	free(bytes);
}

static void hostile_scripts_stay_in_bounds(void **state)
{
	struct room *r = new_room();
	struct hostile h = {0};
	struct streams_output output = {hostile_message, hostile_end, &h};
	const struct streams_counts *c;
	uint32_t bases[300] = {0};

	(void)state;
	h.s = streams_new(200, STREAMS_MEMORY_MIN, &output);
	assert_non_null(h.s);
	c = streams_counts(h.s);
	add_messages(r, 1000, 4000);
	for (uint32_t i = 0; i < 1000000; i++) {
		uint32_t which = below(r, 2) ? below(r, 4) : below(r, 300);

		r->port = (uint16_t)(1000 + which);
		hostile_segment(r, &h, &bases[which]);
		if (!below(r, 20))
			streams_expire(h.s, r->now);
		assert_int_equal(c->bytes, c->message_bytes + 2 * c->messages +
			c->bytes_retransmitted + c->skipped_searching + c->skipped_lost +
			c->skipped_unfinished + c->skipped_evicted + c->skipped_outside +
			streams_held(h.s));
		assert_true(streams_held(h.s) <= STREAMS_MEMORY_MIN);
		assert_true(streams_count(h.s) <= 200);
	}
	assert_int_equal(c->messages, h.messages);
	assert_int_equal(c->ended, h.ends);
	/* The script reaches what it is there for. */
	assert_true(h.messages > 1000 && h.ends > 100 && c->holes > 1000 && c->evicted > 100);
	assert_true(c->evicted_memory > 0 && c->resynchronised > 100 && c->timed_out > 0);
	streams_drain(h.s);
	assert_int_equal(streams_held(h.s), 0);
	streams_free(h.s);
	free_room(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_are_kept_by_new),
		cmocka_unit_test(messages_in_order_are_given_in_place),
		cmocka_unit_test(any_cut_in_any_order_gives_the_list),
		cmocka_unit_test(one_byte_a_segment_backwards),
		cmocka_unit_test(the_first_copy_of_a_byte_wins),
		cmocka_unit_test(both_directions_are_apart),
		cmocka_unit_test(a_zone_transfer_and_the_largest_messages),
		cmocka_unit_test(fast_open),
		cmocka_unit_test(keep_alives_change_nothing),
		cmocka_unit_test(the_end_is_told_once),
		cmocka_unit_test(reset_ends_only_where_it_fits),
		cmocka_unit_test(a_new_syn_ends_the_old_connection),
		cmocka_unit_test(lost_segments_cost_only_their_messages),
		cmocka_unit_test(lost_segments_never_invent_messages),
		cmocka_unit_test(a_hole_inside_a_message_keeps_the_sync),
		cmocka_unit_test(an_acknowledged_hole_is_given_up_soon),
		cmocka_unit_test(starting_anywhere_never_invents_messages),
		cmocka_unit_test(a_message_is_found_in_an_open_connection),
		cmocka_unit_test(captures_cut_short_lose_only_what_was_cut),
		cmocka_unit_test(forged_segments_do_not_derail),
		cmocka_unit_test(strays_that_go_on_are_followed),
		cmocka_unit_test(the_idlest_connection_goes_and_comes_back),
		cmocka_unit_test(idle_connections_time_out_and_come_back),
		cmocka_unit_test(slow_streams_give_way),
		cmocka_unit_test(a_flood_of_half_open_streams_costs_nothing),
		cmocka_unit_test(what_is_behind_a_hole_is_bounded),
		cmocka_unit_test(many_holes_are_bounded),
		cmocka_unit_test(drain_gives_what_stands_whole),
		cmocka_unit_test(hostile_scripts_stay_in_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
