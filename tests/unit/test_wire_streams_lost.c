/* SPDX-License-Identifier: BSD-2-Clause */
/* What a lost or late segment costs, and when what is behind it comes, with which time. */
#include "wire_streams_room.h"

static void a_hole_inside_a_message_keeps_the_sync(void **state)
{
	struct room *r = new_room();
	uint64_t since, last;

	(void)state;
	add_message(r, 20000);
	add_message(r, 3000);
	open_connection(r);
	give_at(r, SERVER, 0, 1460);
	/* From here on no segment begins with a message. */
	since = r->now;
	for (uint32_t at = 2920; at < r->len; at += 1460) {
		give_at(r, SERVER, at, r->len - at < 1460 ? r->len - at : 1460);
		r->now += MS;
	}
	last = r->now - MS;
	assert_int_equal(r->got, 0);
	assert_int_equal(streams_next_expiry(r->s), since + STREAMS_HOLE_NS);
	expire(r, since + STREAMS_HOLE_NS - 1 - r->now);
	assert_int_equal(r->got, 0);
	expire(r, 1);
	assert_int_equal(r->got, 1);
	assert_int_equal(r->sent[1].got, 1);
	assert_int_equal(r->time, last);
	assert_int_equal(streams_counts(r->s)->holes, 1);
	assert_int_equal(streams_counts(r->s)->bytes_missing, 1460);
	assert_int_equal(streams_counts(r->s)->resynchronised, 0);
	free_room(r);
}

static void a_hole_that_costs_nothing_is_not_waited_for(void **state)
{
	struct room *r = new_room();

	(void)state;
	add_message(r, 20000);
	for (int i = 0; i < 3; i++)
		add_message(r, 100);
	open_connection(r);
	give_at(r, SERVER, 0, 1460);
	give_at(r, SERVER, 2920, 1460);
	expire(r, STREAMS_HOLE_NS);
	/* The rest of a message that has a hole already may have more of them. */
	give_at(r, SERVER, r->sent[1].at - 10, 8);
	give_at(r, SERVER, r->sent[1].at - 2, r->sent[1].len + 2);
	assert_int_equal(r->got, 1);
	/* Out of sync with nothing held there is nothing to wait for. */
	give_at(r, SERVER, r->sent[2].at + 5, 30);
	assert_int_equal(streams_held(r->s), 30);
	expire(r, STREAMS_HOLE_NS);
	assert_int_equal(streams_held(r->s), 30);
	give_at(r, SERVER, r->sent[2].at + 60, 1);
	expire(r, STREAMS_HOLE_NS);
	give_at(r, SERVER, r->sent[3].at - 2, r->sent[3].len + 2);
	assert_int_equal(r->got, 1);
	expire(r, STREAMS_HOLE_NS);
	assert_int_equal(r->got, 2);
	free_room(r);
}

/* Each message has the time of the segment that completed it, however they wait in blocks. */
static void behind_a_hole_each_message_keeps_its_time(void **state)
{
	struct room *r = new_room();
	uint64_t begin = r->now;

	(void)state;
	for (int i = 0; i < 100; i++)
		add_message(r, 40);
	open_connection(r);
	for (uint32_t i = 1; i < r->count; i++) {
		uint32_t at = r->sent[i].at - 2, len = r->sent[i].len + 2;

		r->now = begin + i * MS;
		give_at(r, SERVER, at, i % 3 ? len : 5);
		r->sent[i].time = r->now;
		if (i % 3)
			continue;
		r->now += MS / 2;
		give_at(r, SERVER, at + 3, len - 3);
		r->sent[i].time = r->now;
	}
	expire(r, STREAMS_HOLE_NS);
	assert_int_equal(r->got, 99);
	free_room(r);
}

/* A FIN that comes before the only data of its connection. */
static void a_fin_first_is_not_forgotten(void **state)
{
	struct room *r = new_room();
	uint32_t end;

	(void)state;
	add_message(r, 40);
	end = CLIENT_ISN + 1 + r->len;
	open_connection(r);
	give(r, CLIENT, end, ACK | TCP_FIN, NULL, 0, 0);
	give_at(r, CLIENT, 0, r->len);
	assert_int_equal(r->got, 1);
	give(r, SERVER, SERVER_ISN + 1, ACK | TCP_FIN, NULL, 0, 0);
	assert_int_equal(r->ends, 1);
	free_room(r);
	/* One that nothing is missing before makes no entry, and one out of bounds neither. */
	r = new_room();
	open_connection(r);
	give(r, CLIENT, CLIENT_ISN + 1, ACK | TCP_FIN, NULL, 0, 0);
	give(r, CLIENT, CLIENT_ISN + 2 + STREAMS_WINDOW, ACK | TCP_FIN, NULL, 0, 0);
	assert_int_equal(streams_count(r->s), 0);
	free_room(r);
}

/* Segments never begin with a message; one is lost. With its end known, or with enough of it. */
static void bulk_is_found_again_inside_of_segments(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 40; round++) {
		struct room *r = new_room();
		uint32_t size = 1448, lost = (1 + round) * size, touched;

		for (uint32_t i = 0; i < (round % 2 ? 3500 : 1500); i++)
			add_message(r, 48 + round);
		open_connection(r);
		for (uint32_t at = 0; at < r->len; at += size) {
			r->now += MS;
			for (uint32_t i = 0; i < r->count; i++)
				if (r->sent[i].at + r->sent[i].len > at &&
					r->sent[i].at + r->sent[i].len <= at + size)
					r->sent[i].time = r->now;
			if (at != lost)
				give_at(r, SERVER, at, r->len - at < size ? r->len - at : size);
		}
		expire(r, STREAMS_HOLE_NS);
		if (round % 2 == 0)
			give(r, SERVER, SERVER_ISN + 1 + r->len, ACK | TCP_FIN, NULL, 0, 0);
		touched = size / (r->sent[0].len + 2) + 2;
		assert_true(missing(r) <= touched);
		assert_int_equal(streams_counts(r->s)->resynchronised, 1);
		free_room(r);
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hole_inside_a_message_keeps_the_sync),
		cmocka_unit_test(a_hole_that_costs_nothing_is_not_waited_for),
		cmocka_unit_test(behind_a_hole_each_message_keeps_its_time),
		cmocka_unit_test(a_fin_first_is_not_forgotten),
		cmocka_unit_test(bulk_is_found_again_inside_of_segments),
		cmocka_unit_test(an_acknowledged_hole_is_given_up_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
