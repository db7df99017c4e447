/* SPDX-License-Identifier: BSD-2-Clause */
/* The rings at their borders: around their end, without room, and two writers at once. */
#include "capture_room.h"

/* Several times around each ring, over its borders, in records of many sizes. */
static void test_around_the_ring(void **state)
{
	for (int k = 0; k < RINGS; k++) {
		struct fixture *f = &fixtures[k];

		for (size_t i = 0; i < 4 * RING_SIZE / 400; i++) {
			struct frame query = udp4(40000, WATCHED, 12 + i % 800);

			memset(query.bytes + query.len - 12, (int)i, 12);
			assert_int_equal(run(f, &query), 1);
			assert_int_equal(f->last.source.have, query.len - ETHERNET);
			assert_memory_equal(f->bytes, query.bytes + ETHERNET, query.len - ETHERNET);
		}
		assert_int_equal(rings_broken(f->rings), 0);
	}
	(void)state;
}

/* A ring without room: each packet is in the ring or counted, to the packet. */
static void test_ring_full(void **state)
{
	for (int k = 0; k < RINGS; k++) {
		struct fixture *f = &fixtures[k];
		struct frame query = udp4(40000, WATCHED, 900);
		struct kernel_counts before = counts_of(f), after;
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = query.bytes,
			.data_size_in = (uint32_t)query.len, .repeat = 2000);
		size_t got;

		assert_int_equal(bpf_prog_test_run_opts(f->program, &opts), 0);
		got = rings_drain(f->rings, UINT64_MAX, on_packet, f);
		after = counts_of(f);
		assert_true(after.ring_full > before.ring_full);
		assert_int_equal(after.matched - before.matched, 2000);
		assert_int_equal(got + (after.ring_full - before.ring_full), 2000);
		assert_int_equal(run(f, &query), 1);
	}
	(void)state;
}

static void set_busy(struct fixture *f, uint64_t busy)
{
	int map = bpf_map__fd(f->skel->maps.counts);

	for (uint32_t cpu = 0; cpu < bpf_map__max_entries(f->skel->maps.counts); cpu++) {
		struct kernel_counts c;

		assert_int_equal(bpf_map_lookup_elem(map, &cpu, &c), 0);
		if (!busy)
			assert_int_equal(c.busy, 1); /* whoever came in between leaves it */
		c.busy = busy;
		assert_int_equal(bpf_map_update_elem(map, &cpu, &c, BPF_ANY), 0);
	}
}

/* A packet that comes while another one's record is being written is counted, not mixed in. */
static void test_busy(void **state)
{
	for (int k = 0; k < RINGS; k++) {
		struct fixture *f = &fixtures[k];
		struct frame query = udp4(40000, WATCHED, 30);
		struct kernel_counts before = counts_of(f), after;

		set_busy(f, 1);
		assert_int_equal(run(f, &query), 0);
		after = counts_of(f);
		assert_int_equal(after.matched - before.matched, 1);
		assert_int_equal(after.ring_full - before.ring_full, 1);
		set_busy(f, 0);
		assert_int_equal(run(f, &query), 1);
		assert_int_equal(run(f, &query), 1);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_around_the_ring),
		cmocka_unit_test(test_ring_full),
		cmocka_unit_test(test_busy),
	};
	int status = open_fixtures();

	if (!status)
		status = cmocka_run_group_tests(tests, NULL, NULL);
	close_fixtures();
	return status;
}
