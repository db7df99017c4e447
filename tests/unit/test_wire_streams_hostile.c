/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever is lost, forged or joined in the middle, nothing comes out that was not sent, what is
 * sent clean afterwards is found, and the bounds hold.
 */
#include "wire_streams_room.h"

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

static void segments_without_an_acknowledgement_are_none(void **state)
{
	struct room *r = new_room();
	uint32_t len;

	(void)state;
	add_message(r, 100);
	len = r->len;
	open_connection(r);
	give(r, CLIENT, r->next[CLIENT], 0, r->bytes, len, len);
	give(r, CLIENT, r->next[CLIENT], TCP_FIN, r->bytes, len, len);
	assert_int_equal(r->got, 0);
	assert_int_equal(streams_counts(r->s)->skipped_outside, 2 * len);
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

/* Many that begin a message and stop: memory has its bound, and the busy ones go on. */
static void slow_streams_give_way(void **state)
{
	struct room *r = new_room_of(20000, STREAMS_MEMORY_MIN);
	uint8_t begin[3] = {0xff, 0xff, 0};

	(void)state;
	add_messages(r, 300, 40000);
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
	assert_true(streams_counts(r->s)->evicted_memory > 2000);
	free_room(r);
}

/* Who waits behind a hole and who holds a beginning: the idlest of both gives way. */
static void the_idlest_gives_its_memory(void **state)
{
	enum { BLOCKS = STREAMS_MEMORY_MIN / 2048 };
	struct room *r = new_room_of(2 * BLOCKS, STREAMS_MEMORY_MIN);
	uint8_t begin[100] = {0xff, 0xff, 0};

	(void)state;
	for (uint32_t i = 0; i < BLOCKS + 2; i++) {
		r->port = (uint16_t)(1000 + i);
		r->now += MS;
		open_connection(r);
		if (i == 1)
			give(r, CLIENT, r->isn[CLIENT] + 1000, ACK, begin, 100, 100);
		else
			give(r, CLIENT, r->isn[CLIENT] + 1, ACK, begin, 3, 3);
	}
	assert_int_equal(streams_counts(r->s)->evicted_memory, 2);
	assert_int_equal(streams_counts(r->s)->skipped_evicted, 103);
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
		assert_true(streams_held(r->s) <= STREAMS_RUNS_MAX * 62);
		give_at(r, SERVER, r->sent[i].at - 2, r->sent[i].len + 2);
	}
	expire(r, 3 * SECOND);
	assert_int_equal(missing(r), 1000);
	assert_int_equal(streams_held(r->s), 0);
	free_room(r);
}

/* What the receiver of messages may rely on under any input: they lie inside the bounds. */
enum { HOSTILE_MAX = 700, HOSTILE_PORTS = 900 };

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
	p.tcp_flags = below(r, 20) ? flags[below(r, 6)] : flags[below(r, sizeof(flags))];
	p.seq = p.tcp_flags & TCP_SYN ? *base - 1 : hostile_seq(r, *base);
	p.ack = hostile_seq(r, *base - 4900);
	if (!below(r, 4))
		*base += len;
	r->now += below(r, 50000) ? below(r, 20) * MS / 1000 : below(r, 200) * SECOND;
	streams_segment(h->s, &p, r->now);
	free(bytes);
}

static void hostile_scripts_stay_in_bounds(void **state)
{
	struct room *r = new_room();
	struct hostile h = {0};
	struct streams_output output = {hostile_message, hostile_end, &h};
	const struct streams_counts *c;
	uint32_t bases[HOSTILE_PORTS] = {0};

	(void)state;
	h.s = streams_new(HOSTILE_MAX, STREAMS_MEMORY_MIN, &output);
	assert_non_null(h.s);
	c = streams_counts(h.s);
	add_messages(r, 1000, 4000);
	for (uint32_t i = 0; i < 1000000; i++) {
		uint32_t which = below(r, 4) ? below(r, HOSTILE_PORTS) : below(r, 4);

		r->port = (uint16_t)(1000 + which);
		hostile_segment(r, &h, &bases[which]);
		if (!below(r, 20))
			streams_expire(h.s, r->now);
		assert_int_equal(c->bytes, c->message_bytes + 2 * c->messages +
			c->bytes_retransmitted + c->skipped_searching + c->skipped_lost +
			c->skipped_unfinished + c->skipped_evicted + c->skipped_outside +
			streams_held(h.s));
		assert_true(streams_held(h.s) <= STREAMS_MEMORY_MIN);
		assert_true(streams_count(h.s) <= HOSTILE_MAX);
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
		cmocka_unit_test(lost_segments_cost_only_their_messages),
		cmocka_unit_test(lost_segments_never_invent_messages),
		cmocka_unit_test(starting_anywhere_never_invents_messages),
		cmocka_unit_test(forged_segments_do_not_derail),
		cmocka_unit_test(segments_without_an_acknowledgement_are_none),
		cmocka_unit_test(strays_that_go_on_are_followed),
		cmocka_unit_test(slow_streams_give_way),
		cmocka_unit_test(the_idlest_gives_its_memory),
		cmocka_unit_test(a_flood_of_half_open_streams_costs_nothing),
		cmocka_unit_test(what_is_behind_a_hole_is_bounded),
		cmocka_unit_test(many_holes_are_bounded),
		cmocka_unit_test(hostile_scripts_stay_in_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
