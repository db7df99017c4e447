/* SPDX-License-Identifier: BSD-2-Clause */
/* Which packets the BPF programs take, and what they say of each; through each ring. */
#include "capture_room.h"

static void test_udp_ipv4(void **state)
{
	for (int k = 0; k < RINGS; k++) {
		struct fixture *f = &fixtures[k];
		struct frame query = udp4(40000, WATCHED, 30), reply = udp4(WATCHED, 40000, 300);
		struct frame foreign = udp4(40000, OTHER, 30);
		struct kernel_counts before = counts_of(f), after;

		assert_int_equal(run(f, &query), 1);
		assert_int_equal(f->last.source.have, 20 + 8 + 30);
		assert_int_equal(f->last.source.wire, 20 + 8 + 30);
		assert_int_equal(f->last.source.ethertype, 0x0800);
		assert_int_equal(f->last.tap, 7);
		assert_true(f->last.time > 0);
		assert_memory_equal(f->bytes, query.bytes + ETHERNET, f->last.source.have);
		assert_int_equal(run(f, &reply), 1);
		assert_int_equal(run(f, &foreign), 0);
		after = counts_of(f);
		assert_int_equal(after.matched - before.matched, 2);
		assert_int_equal(after.ring_full, before.ring_full);
	}
	(void)state;
}

static void test_ipv4_options(void **state)
{
	struct frame f = ethernet(0x0800);

	put_ipv4(&f, 17, 8 + 20, 0, 1, 8);
	put_udp(&f, WATCHED, 40000, 20);
	assert_int_equal(run(&fixtures[0], &f), 1);
	(void)state;
}

static void test_ipv6_chain(void **state)
{
	static const uint8_t hop_by_hop[8] = {60}, destination[16] = {43, 1}, routing[8] = {51};
	static const uint8_t authentication[24] = {17, 4};
	struct frame plain = ethernet(0x86dd), chain = ethernet(0x86dd), foreign = ethernet(0x86dd);

	put_ipv6(&plain, 17, 8 + 20);
	put_udp(&plain, 40000, WATCHED, 20);
	put_ipv6(&chain, 0, 8 + 16 + 8 + 24 + 8 + 20);
	put(&chain, hop_by_hop, 8);
	put(&chain, destination, 16);
	put(&chain, routing, 8);
	put(&chain, authentication, 24);
	foreign = chain;
	put_udp(&chain, 40000, WATCHED, 20);
	put_udp(&foreign, 40000, OTHER, 20);
	for (int k = 0; k < RINGS; k++) {
		assert_int_equal(run(&fixtures[k], &plain), 1);
		assert_int_equal(run(&fixtures[k], &chain), 1);
		assert_int_equal(fixtures[k].last.source.wire, chain.len - ETHERNET);
		assert_int_equal(run(&fixtures[k], &foreign), 0);
	}
	(void)state;
}

/* What stands behind an outer tag that the kernel has put into the metadata. */
static void test_inline_tag(void **state)
{
	struct frame f = ethernet(0x8100), arp = ethernet(0x8100);

	put16(&f, 42);
	put16(&f, 0x0800);
	put_ipv4(&f, 17, 8 + 20, 0, 1, 0);
	put_udp(&f, 40000, WATCHED, 20);
	put16(&arp, 42);
	put16(&arp, 0x0806);
	arp.len += 28;
	assert_int_equal(run(&fixtures[0], &f), 1);
	assert_int_equal(run(&fixtures[0], &arp), 0);
	(void)state;
}

static void test_tcp(void **state)
{
	struct fixture *f = &fixtures[0];
	struct frame data = tcp4(0x18, 40), ack = tcp4(0x10, 0), syn = tcp4(0x02, 0);
	struct frame fin = tcp4(0x11, 0), rst = tcp4(0x04, 0);
	struct kernel_counts before = counts_of(f);

	assert_int_equal(run(f, &data), 1);
	assert_int_equal(run(f, &syn), 1);
	assert_int_equal(run(f, &fin), 1);
	assert_int_equal(run(f, &rst), 1);
	assert_int_equal(run(f, &ack), 0);
	assert_int_equal(counts_of(f).empty_segments - before.empty_segments, 1);
	(void)state;
}

static struct frame fragment4(uint16_t id, uint16_t fragment, uint16_t dst, size_t payload)
{
	struct frame f = ethernet(0x0800);

	put_ipv4(&f, 17, payload, fragment, id, 0);
	put_udp(&f, 40000, dst, payload - 8);
	return f;
}

static void test_fragments(void **state)
{
	for (int k = 0; k < RINGS; k++) {
		struct fixture *f = &fixtures[k];
		struct frame first = fragment4(1000, 0x2000, WATCHED, 64);
		struct frame last = fragment4(1000, 8, OTHER, 16);
		struct frame foreign = fragment4(1001, 0x2000, OTHER, 64);
		struct frame tiny = fragment4(1000, 10, OTHER, 8);

		tiny.len -= 7; /* the last fragment of all may hold one byte */
		tiny.bytes[ETHERNET + 3] = 21;
		assert_int_equal(run(f, &first), 1);
		assert_int_equal(run(f, &last), 1);
		assert_int_equal(run(f, &tiny), 1);
		assert_int_equal(run(f, &foreign), 0);
	}
	(void)state;
}

/* Later fragments of unknown datagrams pass at a bounded rate, and the rest is counted. */
static void test_fragment_rate(void **state)
{
	struct fixture *f = &fixtures[0];
	struct kernel_counts before = counts_of(f), after;
	struct frame late = fragment4(2000, 8, OTHER, 16);
	size_t passed, sent = 3000;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = late.bytes,
		.data_size_in = (uint32_t)late.len, .repeat = (int)sent);

	assert_int_equal(bpf_prog_test_run_opts(f->program, &opts), 0);
	passed = rings_drain(f->rings, UINT64_MAX, on_packet, f);
	after = counts_of(f);
	assert_true(passed > 0 && passed < sent);
	assert_int_equal(after.fragments_refused - before.fragments_refused, sent - passed);
	assert_int_equal(after.matched - before.matched, passed);
	(void)state;
}

static void test_clamp(void **state)
{
	struct fixture *f = &fixtures[CLAMPED];
	struct frame longer = udp4(WATCHED, 40000, 900), shorter = udp4(40000, WATCHED, 30);

	assert_int_equal(run(f, &longer), 1);
	assert_int_equal(f->last.source.have, 20 + 8 + RECORD_CLAMP_PAYLOAD);
	assert_int_equal(f->last.source.wire, 20 + 8 + 900);
	assert_int_equal(run(f, &shorter), 1);
	assert_int_equal(f->last.source.have, 20 + 8 + 30);
	(void)state;
}

/* Every prefix of a good packet: never more than it holds, never a packet without ports. */
static void test_truncations(void **state)
{
	struct frame whole = udp4(40000, WATCHED, 30);

	for (size_t len = ETHERNET + 1; len < whole.len; len++) {
		struct frame cut = whole;
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = cut.bytes,
			.data_size_in = (uint32_t)len);

		cut.len = len;
		if (bpf_prog_test_run_opts(fixtures[0].program, &opts))
			continue; /* too short for the kernel's test run itself */
		fixtures[0].packets = 0;
		rings_drain(fixtures[0].rings, UINT64_MAX, on_packet, &fixtures[0]);
		assert_int_equal(fixtures[0].packets, len >= ETHERNET + 24);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp_ipv4),
		cmocka_unit_test(test_ipv4_options),
		cmocka_unit_test(test_ipv6_chain),
		cmocka_unit_test(test_inline_tag),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_fragment_rate),
		cmocka_unit_test(test_clamp),
		cmocka_unit_test(test_truncations),
	};
	int status = open_fixtures();

	if (!status)
		status = cmocka_run_group_tests(tests, NULL, NULL);
	close_fixtures();
	return status;
}
