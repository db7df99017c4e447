/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever way a list of messages is cut into segments, mixed and repeated, it comes out as it
 * went in, and what a connection does in its life is followed.
 */
#include "wire_streams_room.h"

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

static void a_closed_connection_opens_again(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_messages(r, 4, 300);
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t len = r->sent[i].len + 2;

		/* The next number may follow the old one, or lie anywhere. */
		r->isn[CLIENT] += i == 1 ? r->sent[0].len + 2 : i == 2 ? 0x70000000 : 20000;
		open_connection(r);
		give(r, CLIENT, r->isn[CLIENT] + 1, ACK | TCP_FIN, r->bytes + r->sent[i].at - 2,
			len, len);
		r->next[CLIENT] += len + 1;
		give(r, SERVER, r->next[SERVER], ACK | TCP_FIN, NULL, 0, 0);
		assert_int_equal(r->got, i + 1);
		assert_int_equal(r->ends, i + 1);
	}
	assert_int_equal(streams_counts(r->s)->resynchronised, 0);
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
		cmocka_unit_test(a_closed_connection_opens_again),
		cmocka_unit_test(a_new_syn_ends_the_old_connection),
		cmocka_unit_test(a_message_is_found_in_an_open_connection),
		cmocka_unit_test(captures_cut_short_lose_only_what_was_cut),
		cmocka_unit_test(the_idlest_connection_goes_and_comes_back),
		cmocka_unit_test(idle_connections_time_out_and_come_back),
		cmocka_unit_test(drain_gives_what_stands_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
